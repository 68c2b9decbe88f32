// Package judges has other people's libraries look at what this module makes:
// tokens go to go-jose and jwx, thumbprints too, and SSH certificates to
// golang.org/x/crypto/ssh.
package judges

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"golang.org/x/crypto/ssh"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

const payload = `{"sub":"alice"}`

func newSigner(t *testing.T, spec types.KeySpec) *kmssigner.Signer {
	t.Helper()
	fake := kmstest.New()
	signer, err := kmssigner.New(t.Context(), fake, fake.AddKey(spec))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func sign(t *testing.T, method *jwtkms.SigningMethod, signer *kmssigner.Signer) string {
	t.Helper()
	compact, err := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "alice"}).SignedString(signer)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// specs are the methods that both libraries verify, each with a key that signs
// it.
var specs = map[*jwtkms.SigningMethod]types.KeySpec{
	jwtkms.ES256: types.KeySpecEccNistP256,
	jwtkms.ES384: types.KeySpecEccNistP384,
	jwtkms.ES512: types.KeySpecEccNistP521,
	jwtkms.RS256: types.KeySpecRsa2048,
	jwtkms.RS384: types.KeySpecRsa3072,
	jwtkms.RS512: types.KeySpecRsa4096,
	jwtkms.PS256: types.KeySpecRsa2048,
	jwtkms.PS384: types.KeySpecRsa3072,
	jwtkms.PS512: types.KeySpecRsa4096,
	jwtkms.EdDSA: types.KeySpecEccNistEdwards25519,
}

func TestGoJOSE(t *testing.T) {
	for method, spec := range specs {
		t.Run(method.Alg(), func(t *testing.T) {
			signer := newSigner(t, spec)
			parsed, err := jose.ParseSignedCompact(sign(t, method, signer), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(method.Alg())})
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsed.Verify(signer.Public())
			if err != nil || string(got) != payload {
				t.Errorf("Verify = %s, %v", got, err)
			}
			want, err := (&jose.JSONWebKey{Key: signer.Public()}).Thumbprint(crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			checkThumbprint(t, signer.Public(), want)

			// The receiver's way: the key comes as a JWK.
			var key jose.JSONWebKey
			if err := json.Unmarshal(marshalJWK(t, method, signer), &key); err != nil {
				t.Fatal(err)
			}
			if !key.Valid() || !key.IsPublic() || key.Algorithm != method.Alg() || key.Use != "sig" {
				t.Errorf("JWK parsed as %+v", key)
			}
			if got, err := parsed.Verify(key); err != nil || string(got) != payload {
				t.Errorf("Verify with the JWK = %s, %v", got, err)
			}
		})
	}
}

func marshalJWK(t *testing.T, method *jwtkms.SigningMethod, signer *kmssigner.Signer) []byte {
	t.Helper()
	jwk, err := method.JWK(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestJWX(t *testing.T) {
	for method, spec := range specs {
		t.Run(method.Alg(), func(t *testing.T) { jwxVerifies(t, method, spec) })
	}
	// go-jose knows EdDSA only by its older name.
	t.Run("Ed25519", func(t *testing.T) { jwxVerifies(t, jwtkms.Ed25519, types.KeySpecEccNistEdwards25519) })
}

func jwxVerifies(t *testing.T, method *jwtkms.SigningMethod, spec types.KeySpec) {
	signer := newSigner(t, spec)
	alg, ok := jwa.LookupSignatureAlgorithm(method.Alg())
	if !ok {
		t.Fatalf("jwx does not know %s", method.Alg())
	}
	key, err := jwk.ParseKey(marshalJWK(t, method, signer))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []any{signer.Public(), key} {
		got, err := jws.Verify([]byte(sign(t, method, signer)), jws.WithKey(alg, key))
		if err != nil || string(got) != payload {
			t.Errorf("Verify with a %T = %s, %v", key, got, err)
		}
	}
	want, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	checkThumbprint(t, signer.Public(), want)
}

func checkThumbprint(t *testing.T, pub crypto.PublicKey, want []byte) {
	t.Helper()
	got, err := jwtkms.Thumbprint(pub)
	if err != nil || got != base64.RawURLEncoding.EncodeToString(want) {
		t.Errorf("Thumbprint = %q, %v; want %x", got, err, want)
	}
}

// A receiver that has nothing but the address of the JWKS verifies with go-jose
// and with jwx, by kid, while the key is rotated.
func TestJWKS(t *testing.T) {
	ctx, fake := t.Context(), kmstest.New()
	for alias, spec := range map[string]types.KeySpec{
		"alias/jwt": types.KeySpecEccNistP256, "alias/jwt-next": types.KeySpecRsa2048, "alias/jwt-prev": types.KeySpecEccNistEdwards25519,
	} {
		key := fake.AddKey(spec)
		if _, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key}); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := keyring.New(ctx, fake, "alias/jwt", func(o *keyring.Options) { o.PropagationDelay = -1 })
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(ring)
	defer server.Close()
	promote := func() {
		_, err := keyring.Rotate(ctx, fake, "alias/jwt", keyring.Promote, func(o *keyring.RotateOptions) { o.Force = true })
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, change := range []func(){func() {}, promote} {
		change()
		compact, err := ring.Sign(ctx, jwt.MapClaims{"exp": time.Now().Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}

		var set jose.JSONWebKeySet
		if err := json.Unmarshal(data, &set); err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		if keys := set.Key(parsed.Signatures[0].Header.KeyID); len(set.Keys) != 3 || len(keys) != 1 {
			t.Errorf("go-jose finds %d of %d keys by kid, want 1 of 3", len(keys), len(set.Keys))
		} else if _, err := parsed.Verify(keys[0]); err != nil {
			t.Errorf("go-jose: %v", err)
		}
		keys, err := jwk.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jws.Verify([]byte(compact), jws.WithKeySet(keys)); err != nil {
			t.Errorf("jwx: %v", err)
		}
	}
}

// HMAC tokens: go-jose makes the MAC with the key itself.
func TestHMAC(t *testing.T) {
	for method, hash := range map[*jwtkms.SigningMethod]crypto.Hash{
		jwtkms.HS256: crypto.SHA256, jwtkms.HS384: crypto.SHA384, jwtkms.HS512: crypto.SHA512,
	} {
		mac := localMAC{hash, make([]byte, hash.Size())}
		compact, err := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "alice"}).SignedString(mac)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(method.Alg())})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parsed.Verify(mac.key); err != nil || string(got) != payload {
			t.Errorf("%s: Verify = %s, %v", method.Alg(), got, err)
		}
	}
}

// localMAC is a MAC whose key is known, unlike that of a key in KMS.
type localMAC struct {
	hash crypto.Hash
	key  []byte
}

func (m localMAC) Size() int { return m.hash.Size() }
func (m localMAC) Generate(msg []byte) ([]byte, error) {
	h := hmac.New(m.hash.New, m.key)
	h.Write(msg)
	return h.Sum(nil), nil
}
func (m localMAC) Verify(msg, mac []byte) (bool, error) {
	want, err := m.Generate(msg)
	return hmac.Equal(mac, want), err
}

// An SSH certificate authority on a KMS key.
func TestSSH(t *testing.T) {
	for _, spec := range []types.KeySpec{
		types.KeySpecEccNistP256,
		types.KeySpecEccNistP384,
		types.KeySpecEccNistP521,
		types.KeySpecEccNistEdwards25519,
		types.KeySpecRsa3072,
	} {
		t.Run(string(spec), func(t *testing.T) {
			authority, err := ssh.NewSignerFromSigner(newSigner(t, spec))
			if err != nil {
				t.Fatal(err)
			}
			user, err := ssh.NewPublicKey(newSigner(t, types.KeySpecEccNistP256).Public())
			if err != nil {
				t.Fatal(err)
			}
			cert := &ssh.Certificate{
				Key:             user,
				CertType:        ssh.UserCert,
				ValidPrincipals: []string{"alice"},
				ValidBefore:     ssh.CertTimeInfinity,
			}
			if err := cert.SignCert(rand.Reader, authority); err != nil {
				t.Fatal(err)
			}
			checker := &ssh.CertChecker{}
			if err := checker.CheckCert("alice", cert); err != nil {
				t.Error(err)
			}
		})
	}
}
