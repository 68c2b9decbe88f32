package kmstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256.New
	_ "crypto/sha512"
	"crypto/x509"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// ecKey signs with ECDSA. Signatures are DER, their s is high half of the time
// (KMS does not normalise it), and they differ from call to call.
type ecKey struct {
	private *ecdsa.PrivateKey
	public  []byte
}

func newEC(curve elliptic.Curve) (material, error) {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	return ecKey{private, public}, err
}

func (k ecKey) spki() []byte { return k.public }

func (k ecKey) sign(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.private, digest(alg, t, msg))
}

func (k ecKey) verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool {
	return ecdsa.VerifyASN1(&k.private.PublicKey, digest(alg, t, msg), sig)
}

// rsaKey signs with PKCS #1 v1.5 or with PSS, whose salt is as long as the hash.
type rsaKey struct {
	private *rsa.PrivateKey
	public  []byte
}

func newRSA(bits int) (material, error) {
	private, err := testRSAKey(bits)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	return rsaKey{private, public}, err
}

func (k rsaKey) spki() []byte { return k.public }

var saltIsHash = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func isPSS(alg types.SigningAlgorithmSpec) bool {
	return strings.HasPrefix(string(alg), "RSASSA_PSS_")
}

func (k rsaKey) sign(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) ([]byte, error) {
	if isPSS(alg) {
		return rsa.SignPSS(rand.Reader, k.private, hashes[alg], digest(alg, t, msg), saltIsHash)
	}
	return rsa.SignPKCS1v15(rand.Reader, k.private, hashes[alg], digest(alg, t, msg))
}

func (k rsaKey) verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool {
	if isPSS(alg) {
		return rsa.VerifyPSS(&k.private.PublicKey, hashes[alg], digest(alg, t, msg), sig, saltIsHash) == nil
	}
	return rsa.VerifyPKCS1v15(&k.private.PublicKey, hashes[alg], digest(alg, t, msg), sig) == nil
}

// noMaterial is the secret of keys that the fake can describe but not use.
type noMaterial struct{}

func (noMaterial) spki() []byte { return nil }

func (noMaterial) sign(alg types.SigningAlgorithmSpec, _ types.MessageType, _ []byte) ([]byte, error) {
	return nil, refuse("UnsupportedOperationException", "kmstest cannot sign with %s", alg)
}

func (noMaterial) verify(types.SigningAlgorithmSpec, types.MessageType, []byte, []byte) bool {
	return false
}
