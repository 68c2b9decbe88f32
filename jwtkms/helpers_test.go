//lint:file-ignore SA1019 There is no constructor for the broken keys.

package jwtkms_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"
	"testing"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// methods lists the methods for keys with a public key. stock is golang-jwt's
// method of the same name, or nil. spec is a key to sign with, and size is the
// length of its signatures in bytes.
var methods = []struct {
	method *jwtkms.SigningMethod
	stock  jwt.SigningMethod
	spec   types.KeySpec
	size   int
}{
	{jwtkms.ES256, jwt.SigningMethodES256, types.KeySpecEccNistP256, 64},
	{jwtkms.ES384, jwt.SigningMethodES384, types.KeySpecEccNistP384, 96},
	{jwtkms.ES512, jwt.SigningMethodES512, types.KeySpecEccNistP521, 132},
	{jwtkms.ES256K, nil, types.KeySpecEccSecgP256k1, 64},
	{jwtkms.RS256, jwt.SigningMethodRS256, types.KeySpecRsa2048, 256},
	{jwtkms.RS384, jwt.SigningMethodRS384, types.KeySpecRsa3072, 384},
	{jwtkms.RS512, jwt.SigningMethodRS512, types.KeySpecRsa4096, 512},
	{jwtkms.PS256, jwt.SigningMethodPS256, types.KeySpecRsa2048, 256},
	{jwtkms.PS384, jwt.SigningMethodPS384, types.KeySpecRsa3072, 384},
	{jwtkms.PS512, jwt.SigningMethodPS512, types.KeySpecRsa4096, 512},
	{jwtkms.EdDSA, jwt.SigningMethodEdDSA, types.KeySpecEccNistEdwards25519, 64},
	{jwtkms.Ed25519, nil, types.KeySpecEccNistEdwards25519, 64},
	{jwtkms.MLDSA44, nil, types.KeySpecMlDsa44, 2420},
	{jwtkms.MLDSA65, nil, types.KeySpecMlDsa65, 3309},
	{jwtkms.MLDSA87, nil, types.KeySpecMlDsa87, 4627},
}

// foreignVerify verifies a signature with code from outside this module: stock,
// or the package of the algorithm if stock is nil.
func foreignVerify(stock jwt.SigningMethod, signed string, sig []byte, pub crypto.PublicKey) error {
	if stock != nil {
		return stock.Verify(signed, sig, pub)
	}
	valid := false
	switch pub := pub.(type) {
	case *ecdsa.PublicKey: // secp256k1, through crypto/elliptic's generic code
		digest := sha256.Sum256([]byte(signed))
		valid = len(sig) == 64 && ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case ed25519.PublicKey:
		valid = ed25519.Verify(pub, []byte(signed), sig)
	case *mldsa.PublicKey:
		return mldsa.Verify(pub, []byte(signed), sig, nil)
	}
	if !valid {
		return fmt.Errorf("%T: the signature does not verify", pub)
	}
	return nil
}

func newSigner(t *testing.T, client kmssigner.Client, keyID string) *kmssigner.Signer {
	t.Helper()
	signer, err := kmssigner.New(t.Context(), client, keyID)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// stockVerify parses a token as a receiver does that has only golang-jwt and
// the public key.
func stockVerify(token, alg string, pub crypto.PublicKey) (*jwt.Token, error) {
	return jwt.Parse(token, func(*jwt.Token) (any, error) { return pub, nil }, jwt.WithValidMethods([]string{alg}))
}

// A stub is a crypto.Signer that returns fixed values and counts its calls.
type stub struct {
	public crypto.PublicKey
	sig    []byte
	err    error
	calls  *int
}

func (s stub) Public() crypto.PublicKey { return s.public }
func (s stub) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	if s.calls != nil {
		*s.calls++
	}
	return s.sig, s.err
}

func publicKeys(t *testing.T) map[string]crypto.PublicKey {
	t.Helper()
	keys := map[string]crypto.PublicKey{}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, nil)
		if err != nil {
			t.Fatal(err)
		}
		keys[curve.Params().Name] = key.Public()
	}
	for size, name := range map[int]string{1024: "RSA-1024", 2048: "RSA-2048"} {
		key, err := rsa.GenerateKey(nil, size)
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key.Public()
	}
	ed, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	koblitz, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, params := range []mldsa.Parameters{mldsa.MLDSA44(), mldsa.MLDSA65(), mldsa.MLDSA87()} {
		key, err := mldsa.GenerateKey(params)
		if err != nil {
			t.Fatal(err)
		}
		keys[params.String()] = key.Public()
	}
	keys["zero ML-DSA"] = &mldsa.PublicKey{}
	keys["nil ML-DSA"] = (*mldsa.PublicKey)(nil)
	keys["short Ed25519"] = ed25519.PublicKey("short")
	keys["Ed25519"] = ed
	keys["secp256k1"] = koblitz.PubKey().ToECDSA()
	keys["nil"] = nil
	keys["nil ECDSA"] = (*ecdsa.PublicKey)(nil)
	keys["nil RSA"] = (*rsa.PublicKey)(nil)
	keys["zero ECDSA"] = &ecdsa.PublicKey{}
	keys["ECDSA on a nil curve"] = &ecdsa.PublicKey{Curve: (*elliptic.CurveParams)(nil), X: big.NewInt(1), Y: big.NewInt(1)}
	keys["ECDSA on a nil secp256k1"] = &ecdsa.PublicKey{Curve: (*secp256k1.KoblitzCurve)(nil), X: big.NewInt(1), Y: big.NewInt(1)}
	keys["ECDSA with half a point"] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1)}
	keys["secp256k1 with half a point"] = &ecdsa.PublicKey{Curve: koblitz.PubKey().ToECDSA().Curve, Y: big.NewInt(1)}
	keys["RSA with a negative exponent"] = &rsa.PublicKey{N: keys["RSA-2048"].(*rsa.PublicKey).N, E: -3}
	keys["RSA with a negative modulus"] = &rsa.PublicKey{N: new(big.Int).Neg(keys["RSA-2048"].(*rsa.PublicKey).N), E: 3}
	keys["ECDSA without a point"] = &ecdsa.PublicKey{Curve: elliptic.P256()}
	keys["zero RSA"] = &rsa.PublicKey{}
	keys["string"] = "key"
	return keys
}
