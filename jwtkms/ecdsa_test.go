package jwtkms_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
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
