package plugins_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// algorithms returns the algorithms that a key may be used with in JOSE.
func algorithms(t *testing.T, signer *kmssigner.Signer) []string {
	t.Helper()
	method, err := jwtkms.MethodFor(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	if method == jwtkms.RS256 {
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	}
	return []string{method.Alg()}
}

// judgeGoJOSE has jwx verify what go-jose has signed.
func judgeGoJOSE(t *testing.T, signer *kmssigner.Signer) error {
	for _, alg := range algorithms(t, signer) {
		joseSigner, err := newJOSESigner(signer, jose.SignatureAlgorithm(alg), "my-key")
		if err != nil {
			return err
		}
		token, err := jwt.Signed(joseSigner).Claims(jwt.Claims{Subject: "alice"}).Serialize()
		if err != nil {
			return err
		}
		if pub, ok := signer.Public().(*mldsa.PublicKey); ok {
			return judgeMLDSA(pub, token)
		}
		known, ok := jwa.LookupSignatureAlgorithm(alg)
		if !ok {
			t.Fatalf("jwx does not know %s", alg)
		}
		if _, err := jws.Verify([]byte(token), jws.WithKey(known, signer.Public())); err != nil {
			return err
		}
	}
	return nil
}

// judgeJWX has go-jose verify what jwx has signed.
func judgeJWX(t *testing.T, signer *kmssigner.Signer) error {
	for _, alg := range algorithms(t, signer) {
		known, ok := jwa.LookupSignatureAlgorithm(alg)
		if !ok {
			known = jwa.NewSignatureAlgorithm(alg)
		}
		token, err := signJWX(signer, known, "alice")
		if err != nil {
			return err
		}
		parsed, err := jose.ParseSignedCompact(string(token), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			return err
		}
		if _, err := parsed.Verify(signer.Public()); err != nil {
			return err
		}
	}
	return nil
}

// judgeMLDSA verifies the signature of a compact token by RFC 9964.
func judgeMLDSA(pub *mldsa.PublicKey, token string) error {
	dot := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		return err
	}
	return mldsa.Verify(pub, []byte(token[:dot]), sig, nil)
}
