package kmstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256.New
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// material is the secret of a key.
type material interface {
	// spki is the public half as KMS answers it, a SubjectPublicKeyInfo. It is
	// nil where there is none.
	spki() []byte
}

// signer is the material of a key that signs. It is only asked for algorithms
// that its spec lists, and with messages whose type and length have been checked.
type signer interface {
	material
	sign(types.SigningAlgorithmSpec, types.MessageType, []byte) ([]byte, error)
	verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool
}

// publicOnly is all there is of a key that the fake cannot use.
type publicOnly []byte

func (k publicOnly) spki() []byte { return k }

// digest returns msg, or its hash if msg is the message itself.
func digest(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) []byte {
	if t == types.MessageTypeDigest {
		return msg
	}
	h := hashes[alg].New()
	h.Write(msg)
	return h.Sum(nil)
}

// marshalSPKI builds the SubjectPublicKeyInfo of a key that crypto/x509 does not
// know. For an elliptic curve, the curve is the parameter of the algorithm; the
// others have none.
func marshalSPKI(algorithm, curve asn1.ObjectIdentifier, key []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(algorithm)
			if curve != nil {
				b.AddASN1ObjectIdentifier(curve)
			}
		})
		b.AddASN1BitString(key)
	})
	return b.Bytes()
}

var ecPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// ecKey signs with ECDSA on a NIST curve. Signatures are DER, their s is high
// half of the time (KMS does not normalise it), and they differ from call to call.
type ecKey struct {
	publicOnly
	private *ecdsa.PrivateKey
}

func newEC(curve elliptic.Curve) (material, error) {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	return ecKey{public, private}, err
}

func (k ecKey) sign(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.private, digest(alg, t, msg))
}

func (k ecKey) verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool {
	return ecdsa.VerifyASN1(&k.private.PublicKey, digest(alg, t, msg), sig)
}

// rsaKey signs with PKCS #1 v1.5 or with PSS, whose salt is as long as the hash.
type rsaKey struct {
	publicOnly
	private *rsa.PrivateKey
}

func newRSA(bits int) (material, error) {
	private, err := testRSAKey(bits)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	return rsaKey{public, private}, err
}

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

// edKey signs with Ed25519, which takes the message, or with Ed25519ph.
type edKey struct {
	publicOnly
	private ed25519.PrivateKey
}

func newEd25519() (material, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	return edKey{spki, private}, err
}

// input returns what is signed. For Ed25519ph, KMS demands a digest and does the
// pre-hash of FIPS 186-5 section 7.8.1 all the same, so that what is signed is
// the hash of the caller's hash; captured signatures confirm it.
func (k edKey) input(alg types.SigningAlgorithmSpec, msg []byte) ([]byte, *ed25519.Options) {
	if alg == types.SigningAlgorithmSpecEd25519PhSha512 {
		again := sha512.Sum512(msg)
		return again[:], &ed25519.Options{Hash: crypto.SHA512}
	}
	return msg, &ed25519.Options{}
}

func (k edKey) sign(alg types.SigningAlgorithmSpec, _ types.MessageType, msg []byte) ([]byte, error) {
	in, opts := k.input(alg, msg)
	return k.private.Sign(nil, in, opts)
}

func (k edKey) verify(alg types.SigningAlgorithmSpec, _ types.MessageType, msg, sig []byte) bool {
	in, opts := k.input(alg, msg)
	return ed25519.VerifyWithOptions(k.private.Public().(ed25519.PublicKey), in, sig, opts) == nil
}
