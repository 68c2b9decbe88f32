package kmssigner

import (
	"crypto/sha3"

	"filippo.io/mldsa"
)

// muSize is the length of the message representative mu of ML-DSA.
const muSize = 64

// externalMu computes the message representative mu of FIPS 204, algorithm 7,
// line 6, of the message that algorithm 2 makes of msg and its context:
//
//	mu = SHAKE256(SHAKE256(pk, 64) ‖ 0 ‖ len(context) ‖ context ‖ msg, 64)
//
// Where KMS is given mu it need not be given msg, which may thus have any
// length.
func externalMu(pub *mldsa.PublicKey, context string, msg []byte) (mu [muSize]byte) {
	tr := sha3.SumSHAKE256(pub.Bytes(), 64)
	h := sha3.NewSHAKE256()
	h.Write(tr)
	h.Write([]byte{0, byte(len(context))})
	h.Write([]byte(context))
	h.Write(msg)
	h.Read(mu[:])
	return mu
}
