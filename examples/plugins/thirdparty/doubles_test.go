package thirdparty_test

import (
	"cmp"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	jwtv4 "github.com/golang-jwt/jwt/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// newGitHub is a GitHub that knows one App by its public key. It verifies with
// golang-jwt v4.
func newGitHub(pub crypto.PublicKey) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /app/installations/{id}/access_tokens", func(w http.ResponseWriter, r *http.Request) {
		compact, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		var claims jwtv4.RegisteredClaims
		_, err := jwtv4.ParseWithClaims(compact, &claims, func(*jwtv4.Token) (any, error) { return pub, nil }, jwtv4.WithValidMethods([]string{"RS256"}))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(map[string]any{
			"token":      fmt.Sprintf("ghs_%s_%s", claims.Issuer, r.PathValue("id")),
			"expires_at": time.Now().Add(time.Hour),
		})
	})
	return httptest.NewServer(mux)
}

// newProvider is a token endpoint that knows one client, my-client, by its public
// key. Under /token it verifies with jwx, and under /zitadel with the provider of
// zitadel/oidc.
func newProvider(pub crypto.PublicKey, alg jose.SignatureAlgorithm) *httptest.Server {
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assertion := cmp.Or(r.FormValue("client_assertion"), r.FormValue("assertion"))
		verify := verifyJWX
		if r.URL.Path == "/zitadel" {
			verify = verifyZitadel
		}
		client, err := verify(r.Context(), assertion, server.URL+r.URL.Path, clientKey{pub, alg})
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": "token of " + client, "token_type": "Bearer", "expires_in": 60})
	})
	server.Start()
	return server
}

func verifyJWX(_ context.Context, assertion, audience string, key clientKey) (client string, err error) {
	alg, ok := jwa.LookupSignatureAlgorithm(string(key.alg))
	if !ok {
		return "", fmt.Errorf("unknown algorithm %s", key.alg)
	}
	token, err := jwt.Parse([]byte(assertion), jwt.WithKey(alg, key.pub),
		jwt.WithAudience(audience), jwt.WithIssuer("my-client"), jwt.WithSubject("my-client"), jwt.WithRequiredClaim("exp"))
	if err != nil {
		return "", err
	}
	client, _ = token.Subject()
	return client, nil
}

func verifyZitadel(ctx context.Context, assertion, audience string, key clientKey) (client string, err error) {
	request, err := op.VerifyJWTAssertion(ctx, assertion, op.NewJWTProfileVerifier(key, audience, time.Minute, 0))
	if err != nil {
		return "", err
	}
	return request.Subject, nil
}

// clientKey is the key of my-client.
type clientKey struct {
	pub crypto.PublicKey
	alg jose.SignatureAlgorithm
}

// GetKeyByIDAndClientID implements op.JWTProfileKeyStorage.
func (k clientKey) GetKeyByIDAndClientID(_ context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	if keyID != "my-key" || clientID != "my-client" {
		return nil, errors.New("unknown key")
	}
	return &jose.JSONWebKey{Key: k.pub, KeyID: keyID, Algorithm: string(k.alg), Use: "sig"}, nil
}

// newPebble is Let's Encrypt's test CA, which here takes every challenge for met.
func newPebble() *httptest.Server {
	os.Setenv("PEBBLE_VA_ALWAYS_VALID", "1")
	os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	logger, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	issuer := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	front := wfe.New(logger, store, va.New(logger, 80, 443, true, "", store), issuer, []string{"pebble"}, true, false, 1, 1)
	return httptest.NewTLSServer(front.Handler())
}

// emptyPDF is a page with an invisible signature that has room for 8 KiB.
func emptyPDF() []byte {
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 3/Fields[4 0 R]>>>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Annots[4 0 R]>>",
		"<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature1)/F 132/Rect[0 0 0 0]/P 3 0 R/V 5 0 R>>",
		"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached /ByteRange [" + strings.Repeat(" ", 40) +
			"] /Contents <" + strings.Repeat("00", 8192) + ">>>",
	}
	pdf, xref := "%PDF-1.7\n", ""
	for i, object := range objects {
		xref += fmt.Sprintf("%010d 00000 n \n", len(pdf))
		pdf += fmt.Sprintf("%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	return fmt.Appendf(nil, "%sxref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n",
		pdf, len(objects)+1, xref, len(objects)+1, len(pdf))
}
