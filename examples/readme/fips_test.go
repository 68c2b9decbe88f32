package readme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"go/build"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/derconv"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestFIPS runs TestEveryKey, which is what docs/fips.md promises, once in each
// of the two modes of GODEBUG=fips140. A mode cannot be changed in a process that
// runs, so each is another process with the same program.
func TestFIPS(t *testing.T) {
	for _, mode := range []string{"on", "only"} {
		t.Run(mode, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEveryKey$", "-test.v")
			cmd.Env = append(os.Environ(), "GODEBUG=fips140="+mode)
			output, err := cmd.CombinedOutput()
			want := fmt.Sprintf("FIPS 140-3 mode true, enforced %t", mode == "only")
			if err != nil || !strings.Contains(string(output), want) || strings.Contains(string(output), "SKIP") {
				t.Errorf("%v, want %q in\n%s", err, want, output)
			}
		})
	}
}

// TestEveryKey signs with every type of key, through the SDK's client with its
// request signatures, and verifies a token of each.
func TestEveryKey(t *testing.T) {
	t.Logf("FIPS 140-3 mode %t, enforced %t, module %s", fips140.Enabled(), fips140.Enforced(), fips140.Version())
	// docs/fips.md says which builds verify ML-DSA with the standard library.
	inModule := slices.Contains(build.Default.ReleaseTags, "go1.27") && !strings.HasPrefix(fips140.Version(), "v1.0.0")
	if path := reflect.TypeFor[mldsa.PublicKey]().PkgPath(); (path == "crypto/mldsa") != inModule {
		t.Errorf("ML-DSA is of package %s with module %s", path, fips140.Version())
	}
	if err := jwtkms.Register(); err != nil {
		t.Fatal(err)
	}
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	client := kms.NewFromConfig(server.Config())
	for spec, methods := range map[types.KeySpec][]*jwtkms.SigningMethod{
		types.KeySpecRsa2048:             {jwtkms.RS256, jwtkms.RS384, jwtkms.RS512, jwtkms.PS256, jwtkms.PS384, jwtkms.PS512},
		types.KeySpecRsa3072:             {jwtkms.RS256, jwtkms.PS256},
		types.KeySpecRsa4096:             {jwtkms.RS256, jwtkms.PS256},
		types.KeySpecEccNistP256:         {jwtkms.ES256},
		types.KeySpecEccNistP384:         {jwtkms.ES384},
		types.KeySpecEccNistP521:         {jwtkms.ES512},
		types.KeySpecEccSecgP256k1:       {jwtkms.ES256K},
		types.KeySpecEccNistEdwards25519: {jwtkms.EdDSA, jwtkms.Ed25519},
		types.KeySpecMlDsa44:             {jwtkms.MLDSA44},
		types.KeySpecMlDsa65:             {jwtkms.MLDSA65},
		types.KeySpecMlDsa87:             {jwtkms.MLDSA87},
	} {
		t.Run(string(spec), func(t *testing.T) {
			signer, err := kmssigner.New(t.Context(), client, fake.AddKey(spec))
			if err != nil {
				t.Fatal(err)
			}
			for _, method := range methods {
				compact, err := jwt.New(method).SignedString(signer)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := jwt.Parse(compact, method.Keyfunc(signer.Public())); err != nil {
					t.Errorf("%s: %v", method.Alg(), err)
				}
				if _, err := jwt.Parse(forged(compact), method.Keyfunc(signer.Public())); err == nil {
					t.Errorf("%s: a forged token is valid", method.Alg())
				}
				jwk, err := method.JWK(signer)
				if err != nil || jwk.Kid == "" {
					t.Errorf("%s: JWK %v, %v", method.Alg(), jwk, err)
				}
			}
		})
	}
	for spec, method := range map[types.KeySpec]*jwtkms.SigningMethod{
		types.KeySpecHmac256: jwtkms.HS256,
		types.KeySpecHmac384: jwtkms.HS384,
		types.KeySpecHmac512: jwtkms.HS512,
	} {
		t.Run(string(spec), func(t *testing.T) {
			mac, err := kmssigner.NewHMAC(t.Context(), client, fake.AddKey(spec))
			if err != nil {
				t.Fatal(err)
			}
			compact, err := jwt.New(method).SignedString(mac)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jwt.Parse(compact, method.Keyfunc(mac)); err != nil {
				t.Error(err)
			}
			if _, err := jwt.Parse(forged(compact), method.Keyfunc(mac)); err == nil {
				t.Error("a forged token is valid")
			}
		})
	}
	t.Run("digests of other hashes", func(t *testing.T) {
		signer, err := kmssigner.New(t.Context(), client, fake.AddKey(types.KeySpecEccNistP256))
		if err != nil {
			t.Fatal(err)
		}
		short, long := sha256.Sum256(nil), sha512.Sum512(nil)
		if _, err := signer.Sign(nil, short[:], crypto.SHA256); err != nil {
			t.Error(err)
		}
		der, err := signer.Sign(nil, long[:], crypto.SHA512)
		if err != nil {
			t.Fatal(err)
		}
		p1363, err := derconv.ToP1363(der, elliptic.P256())
		if err != nil {
			t.Fatal(err)
		}
		back, err := derconv.ToDER(p1363, elliptic.P256())
		if err != nil || !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), long[:], back) {
			t.Errorf("the converted signature does not verify: %v", err)
		}
	})
}

// forged returns a token whose signature does not verify.
func forged(compact string) string {
	last := strings.LastIndexByte(compact, '.') + 10
	replacement := "A"
	if compact[last] == 'A' {
		replacement = "B"
	}
	return compact[:last] + replacement + compact[last+1:]
}
