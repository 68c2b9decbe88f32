package kmstest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha3"
	"fmt"
	"math/big"
	"sync"
)

// Generating an RSA key takes too long for most tests, so RSA keys are computed
// from primes in a table. Each prime is the first one at or after a number that
// is derived from a label. The table has its distance from that number. Anyone
// can compute the keys, so they are insecure.
//
// The 63 primes of each size have 63*62/2 = 1953 products. A process starts at
// a random one and uses none twice, so that the keys of two fakes in a process
// differ. When all are used, keys are generated.

// primeOffsets has half the distance of each prime from the odd number that is
// derived from primeLabel, by the size of the prime in bits.
var primeOffsets = map[int][63]int64{
	1024: {
		6, 103, 107, 37, 129, 154, 351, 446, 141, 102, 609, 19, 55, 8, 149, 1175, 504, 117, 445,
		68, 55, 151, 293, 67, 146, 61, 233, 400, 110, 152, 878, 412, 290, 321, 92, 210, 411, 94,
		40, 571, 88, 838, 48, 334, 137, 348, 49, 743, 397, 10, 128, 675, 292, 276, 430, 178, 432,
		169, 715, 37, 90, 644, 551,
	},
	1536: {
		134, 756, 5, 283, 1295, 979, 931, 1674, 836, 583, 932, 377, 103, 845, 58, 27, 1437, 469,
		103, 1402, 916, 314, 637, 782, 454, 4, 964, 31, 2081, 59, 196, 630, 145, 145, 1601, 1005,
		140, 109, 86, 288, 1157, 183, 233, 42, 1129, 568, 69, 62, 852, 1063, 284, 2014, 197, 121,
		141, 166, 15, 765, 25, 1524, 28, 845, 182,
	},
	2048: {
		1178, 549, 1054, 1022, 1269, 1387, 549, 1454, 185, 981, 337, 214, 426, 1053, 151, 54, 30,
		9, 709, 527, 595, 1852, 486, 759, 89, 1439, 768, 531, 835, 21, 1342, 161, 345, 634, 449,
		252, 4857, 725, 940, 28, 430, 174, 944, 993, 489, 960, 2512, 140, 152, 1645, 792, 632,
		1237, 467, 1311, 1438, 141, 1187, 1021, 1701, 455, 668, 528,
	},
}

// primeLabel is the format of the labels of primes. It must not change, because
// primeOffsets depends on it.
const primeLabel = "kmstest: worthless RSA prime, %d bits, number %d"

// testPrime returns the prime number i of a size. Its top two bits are set, so
// that the product of two primes has exactly twice the size.
func testPrime(bits, i int) *big.Int {
	b := make([]byte, bits/8)
	h := sha3.NewSHAKE256()
	fmt.Fprintf(h, primeLabel, bits, i)
	h.Read(b)
	b[0] |= 0xc0
	b[len(b)-1] |= 1
	p := new(big.Int).SetBytes(b)
	return p.Add(p, big.NewInt(2*primeOffsets[bits][i]))
}

// rsaPairs records the pairs of primes that the process has used.
var rsaPairs = struct {
	sync.Mutex
	start, used map[int]int     // by size of the modulus in bits
	taken       map[string]bool // moduli that were loaded from state files
}{start: map[int]int{}, used: map[int]int{}, taken: map[string]bool{}}

// takeRSAModulus makes testRSAKey avoid a modulus that another process may have
// made.
func takeRSAModulus(n *big.Int) {
	rsaPairs.Lock()
	defer rsaPairs.Unlock()
	rsaPairs.taken[string(n.Bytes())] = true
}

func isTakenRSAModulus(n *big.Int) bool {
	rsaPairs.Lock()
	defer rsaPairs.Unlock()
	return rsaPairs.taken[string(n.Bytes())]
}

// nextPair returns the indexes of two different primes for a modulus of a size.
// It returns each pair once, and then false. Pair number c is i and i+d modulo
// 63, with i from 0 to 62 and d from 1 to 31. Because 63 is odd, that is each
// pair once.
func nextPair(bits int) (i, j int, ok bool) {
	const n, pairs = 63, 63 * 31
	rsaPairs.Lock()
	defer rsaPairs.Unlock()
	if _, started := rsaPairs.start[bits]; !started {
		r, _ := rand.Int(rand.Reader, big.NewInt(pairs)) // rand.Reader does not fail
		rsaPairs.start[bits] = int(r.Int64())
	}
	if rsaPairs.used[bits] == pairs {
		return 0, 0, false
	}
	c := (rsaPairs.start[bits] + rsaPairs.used[bits]) % pairs
	rsaPairs.used[bits]++
	i = c % n
	return i, (i + 1 + c/n) % n, true
}

// testRSAKey returns a key whose modulus the process has neither used nor
// loaded before.
func testRSAKey(bits int) (*rsa.PrivateKey, error) {
	i, j, ok := nextPair(bits)
	if !ok {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	p, q := testPrime(bits/2, i), testPrime(bits/2, j)
	n := new(big.Int).Mul(p, q)
	if isTakenRSAModulus(n) {
		return testRSAKey(bits)
	}
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	// d = 1/e modulo lcm(p-1, q-1)
	lcm := new(big.Int).Div(new(big.Int).Mul(p1, q1), new(big.Int).GCD(nil, nil, p1, q1))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: n, E: 65537},
		D:         new(big.Int).ModInverse(big.NewInt(65537), lcm),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	return key, nil
}
