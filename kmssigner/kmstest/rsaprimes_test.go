package kmstest

import (
	"math/big"
	"testing"
)

// TestPrimes checks that the primes of the table are prime, differ and are
// suitable for RSA. Only the full scope checks all of them.
func TestPrimes(t *testing.T) {
	t.Parallel()
	e := big.NewInt(65537)
	for bits, offsets := range primeOffsets {
		seen := map[string]bool{}
		for i := range offsets {
			if i >= 2 && !full() {
				break
			}
			p := testPrime(bits, i)
			rounds := 0 // a Baillie-PSW test only
			if i < 4 && full() {
				rounds = 20
			}
			if p.BitLen() != bits || p.Bit(bits-2) != 1 || seen[p.String()] || !p.ProbablyPrime(rounds) {
				t.Errorf("number %d of %d bits is not a new prime with its top bits set", i, bits)
			}
			if new(big.Int).Mod(new(big.Int).Sub(p, big.NewInt(1)), e).Sign() == 0 {
				t.Errorf("prime %d of %d bits does not go with the exponent 65537", i, bits)
			}
			seen[p.String()] = true
		}
	}
}

// TestPairs checks that nextPair returns each pair once.
func TestPairs(t *testing.T) {
	const bits = -1 // a size that no key has
	defer func() {  // for a second run in the same process
		rsaPairs.Lock()
		delete(rsaPairs.used, bits)
		rsaPairs.Unlock()
	}()
	seen := map[[2]int]bool{}
	for {
		i, j, ok := nextPair(bits)
		if !ok {
			break
		}
		if i == j || i < 0 || j < 0 || i >= 63 || j >= 63 || seen[[2]int{i, j}] || seen[[2]int{j, i}] {
			t.Fatalf("pair %d, %d", i, j)
		}
		seen[[2]int{i, j}] = true
	}
	if len(seen) != 63*62/2 {
		t.Errorf("%d pairs", len(seen))
	}
	if i, j, ok := nextPair(bits); ok {
		t.Errorf("pair %d, %d after the last one", i, j)
	}
}

// TestKeysDiffer checks that the RSA keys of two fakes differ, so that a
// signature by one does not verify with the key of the other.
func TestKeysDiffer(t *testing.T) {
	a, b := New(), New()
	seen := map[string]bool{}
	for range 10 {
		for _, k := range []*KMS{a, b} {
			key := k.keys[k.AddKey(rsa2048)].material.(rsaKey).private
			if err := key.Validate(); err != nil {
				t.Error(err)
			}
			if seen[key.N.String()] {
				t.Error("two keys have the same modulus")
			}
			seen[key.N.String()] = true
		}
	}
}

// TestRSARunsOut checks that keys are generated after the last pair of primes.
func TestRSARunsOut(t *testing.T) {
	rsaPairs.Lock()
	used := rsaPairs.used[1024]
	rsaPairs.used[1024] = 63 * 31
	rsaPairs.Unlock()
	defer func() {
		rsaPairs.Lock()
		rsaPairs.used[1024] = used
		rsaPairs.Unlock()
	}()
	key, err := testRSAKey(1024)
	if err != nil || key.N.BitLen() != 1024 {
		t.Errorf("%v, %v", key, err)
	}
}
