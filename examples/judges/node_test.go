package judges

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// Node's jose and its Web Crypto API accept access tokens of a Ring, with the
// keys that they fetch from it. The environment variable KMSSIGN_JOSE names a
// directory in which jose is installed; .ci/jose makes one.
func TestNode(t *testing.T) {
	dir := os.Getenv("KMSSIGN_JOSE")
	if dir == "" {
		t.Skip("KMSSIGN_JOSE is not set; .ci/jose sets it")
	}
	script, err := filepath.Abs("testdata/verify.mjs")
	if err != nil {
		t.Fatal(err)
	}
	typ := func(h map[string]any) { h["typ"] = "at+jwt" }
	for alg, spec := range map[string]types.KeySpec{
		"ES256": types.KeySpecEccNistP256, "ES384": types.KeySpecEccNistP384, "RS256": types.KeySpecRsa2048, "EdDSA": types.KeySpecEccNistEdwards25519,
	} {
		t.Run(alg, func(t *testing.T) {
			fake := kmstest.New()
			for _, name := range []string{"alias/jwt", "alias/jwt-next"} {
				if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: aws.String(fake.AddKey(spec))}); err != nil {
					t.Fatal(err)
				}
			}
			ring, err := keyring.New(t.Context(), fake, "alias/jwt")
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(ring)
			defer server.Close()
			now := time.Now().Unix()
			signed, err := ring.Sign(t.Context(), jwt.MapClaims{
				"iss": "https://issuer.example", "aud": "https://api.example", "sub": "<alice>", "client_id": "app",
				"iat": now, "exp": now + 60, "jti": "1",
			}, typ)
			if err != nil {
				t.Fatal(err)
			}
			asIs, err := ring.SignPayload(t.Context(), fmt.Appendf(nil,
				`{"iss":"https://issuer.example", "aud":["https://api.example"], "sub":"<alice>", "client_id":"app", "iat":%d, "exp":%d, "jti":"2"}`, now, now+60), typ)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "node", script, server.URL, signed, asIs)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Count(string(out), "accepted "+alg+" at+jwt\n") != 2 {
				t.Errorf("node: %v\n%s", err, out)
			}
		})
	}
}
