package kmstest

import (
	"math/big"
	"testing"
)

// TestPrimes checks the table against its description, with fewer rounds for the
// many than the few of each size get.
func TestPrimes(t *testing.T) {
	t.Parallel()
	e := big.NewInt(65537)
	for bits, offsets := range primeOffsets {
		seen := map[string]bool{}
		for i := range offsets {
			p := testPrime(bits, i)
			rounds := 0 // Baillie-PSW only
			if i < 4 {
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

// TestPairs deals all the pairs of one size and sees each once.
func TestPairs(t *testing.T) {
	const bits = -1 // a size of its own, which no key uses
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

// TestKeysDiffer: a test that account B refuses what account A signed must not
// pass or fail because the two have the same key.
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
				t.Error("a modulus came twice")
			}
			seen[key.N.String()] = true
		}
	}
}

// TestRSARunsOut: after the last pair, keys are generated.
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
