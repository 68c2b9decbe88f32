package jwtkms_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha1"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A plain private key signs as well. R or S is shorter than its field in about
// one signature of 128, so 600 tokens include some.
func TestPlainPrivateKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 600 {
		token, err := jwt.New(jwtkms.ES256).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stockVerify(token, "ES256", key.Public()); err != nil {
			t.Fatalf("%s: %v", token, err)
		}
	}
}

// golang-jwt's ES256 accepts a token signed with a secp256k1 key. Ours does
// not.
func TestVerifyRefusesSecp256k1(t *testing.T) {
	private, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	key := private.ToECDSA()
	const signed = "header.payload"
	sig, err := jwt.SigningMethodES256.Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := jwt.SigningMethodES256.Verify(signed, sig, key.Public()); err != nil {
		t.Fatalf("golang-jwt has changed: %v", err)
	}
	if err := jwtkms.ES256.Verify(signed, sig, key.Public()); !errors.Is(err, jwt.ErrInvalidKeyType) {
		t.Errorf("Verify: %v, want jwt.ErrInvalidKeyType", err)
	}
}

// ES256K signs and verifies in FIPS 140-only mode, in which crypto/ecdsa panics
// on secp256k1.
func TestES256KInFIPSMode(t *testing.T) {
	if os.Getenv("JWTKMS_TEST_FIPS") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestES256KInFIPSMode$", "-test.v")
		cmd.Env = append(os.Environ(), "JWTKMS_TEST_FIPS=1", "GODEBUG=fips140=only")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestES256KInFIPSMode") {
			t.Errorf("with GODEBUG=fips140=only: %v\n%s", err, out)
		}
		return
	}
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccSecgP256k1))
	sig, err := jwtkms.ES256K.Sign("signing string", signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := jwtkms.ES256K.Verify("signing string", sig, signer); err != nil {
		t.Error(err)
	}
	if err := jwtkms.ES256K.Verify("signing strings", sig, signer); !errors.Is(err, jwt.ErrECDSAVerification) {
		t.Errorf("another string: %v, want jwt.ErrECDSAVerification", err)
	}
}

// JOSE knows one hash for each curve (RFC 7518 section 3.4, RFC 8812 section
// 3.2), whatever else the Signer would sign. A plain private key signs any
// digest.
func TestCurveAndHashPairs(t *testing.T) {
	methods := map[string]*jwtkms.SigningMethod{
		"P-256/SHA-256": jwtkms.ES256, "P-384/SHA-384": jwtkms.ES384, "P-521/SHA-512": jwtkms.ES512, "secp256k1/SHA-256": jwtkms.ES256K,
	}
	const signed = "header.payload"
	pairs := 0
	//lint:ignore SA1019 An *ecdsa.PrivateKey on secp256k1 needs the value.
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521(), secp256k1.S256()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		size := (curve.Params().BitSize + 7) / 8
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA512_256, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512} {
			digest := hash.New()
			digest.Write([]byte(signed))
			r, s, err := ecdsa.Sign(rand.Reader, key, digest.Sum(nil))
			if err != nil {
				t.Fatal(err)
			}
			sig := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
			pair := fmt.Sprintf("%s/%v", curve.Params().Name, hash)
			for name, method := range methods {
				if err := method.Verify(signed, sig, key.Public()); (err == nil) != (name == pair) {
					t.Errorf("%s verifies %s: %v", method.Alg(), pair, err)
				}
				if name == pair {
					pairs++
				}
			}
		}
		for name, method := range methods {
			asked := &hashRecorder{Signer: key}
			_, err := method.Sign(signed, asked)
			want := curve.Params().Name + "/"
			switch pair := fmt.Sprintf("%s/%v", curve.Params().Name, asked.hash); {
			case !strings.HasPrefix(name, want) && (!errors.Is(err, jwt.ErrInvalidKeyType) || asked.hash != 0):
				t.Errorf("%s, Sign with a key on %s: asked for %v, %v", method.Alg(), curve.Params().Name, asked.hash, err)
			case strings.HasPrefix(name, want) && (err != nil || name != pair):
				t.Errorf("%s, Sign with a key on %s: asked for %v, %v", method.Alg(), curve.Params().Name, asked.hash, err)
			}
		}
	}
	if pairs != len(methods) {
		t.Errorf("tried %d of the %d pairs", pairs, len(methods))
	}
}

// A hashRecorder keeps the hash that its Signer was last asked for.
type hashRecorder struct {
	crypto.Signer
	hash crypto.Hash
}

func (r *hashRecorder) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	r.hash = opts.HashFunc()
	return r.Signer.Sign(rand, digest, opts)
}
