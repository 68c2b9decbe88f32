package readme

import (
	"context"
	"crypto"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// Each test runs a snippet of README.md, docs/fake.md, docs/keys.md,
// docs/operations.md or docs/rotation.md as it stands.

func TestFirstScreen(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	alias, key := "alias/token-signing", fake.AddKey(types.KeySpecEccNistP256)
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	issue := func(ctx context.Context, cfg aws.Config) error {
		// Once: one GetPublicKey call.
		signer, err := kmssigner.New(ctx, kms.NewFromConfig(cfg), "alias/token-signing")
		if err != nil {
			return err
		}
		// For each token: one Sign call, checked locally before it is returned.
		token := jwt.NewWithClaims(jwtkms.ES256, jwt.MapClaims{"sub": "alice"})
		compact, err := token.SignedString(signer.WithContext(ctx))
		if err != nil {
			return err
		}
		return parse(compact, signer.Public())
	}
	if err := issue(t.Context(), server.Config()); err != nil {
		t.Error(err)
	}
}

func parse(compact string, publicKey crypto.PublicKey) error {
	parsed, err := jwt.Parse(compact, func(*jwt.Token) (any, error) {
		return publicKey, nil
	}, jwt.WithValidMethods([]string{"ES256"}))
	if err == nil && !parsed.Valid {
		return errors.New("not valid")
	}
	return err
}

func TestSuppliedPublicKey(t *testing.T) {
	ctx := t.Context()
	client := kmstest.New()
	online, err := kmssigner.New(ctx, client, client.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		t.Fatal(err)
	}
	keyARN, publicKey := online.KeyARN(), online.Public()
	signer, err := kmssigner.New(ctx, client, keyARN, func(o *kmssigner.Options) {
		o.PublicKey = publicKey // then New makes no call, and keyARN must be a full key ARN
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Error(err)
	}
}

// hung is a KMS that does not answer.
type hung struct{ kmssigner.Client }

func (hung) Sign(ctx context.Context, _ *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestDeadline(t *testing.T) {
	fake := kmstest.New()
	signer, err := kmssigner.New(t.Context(), hung{fake}, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.New(jwtkms.ES256)
	handler := func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		compact, err := token.SignedString(signer.WithContext(ctx))
		if errors.Is(err, context.DeadlineExceeded) {
			http.Error(w, "signing takes too long", http.StatusServiceUnavailable)
			return
		}
		if err != nil {
			http.Error(w, "cannot sign", http.StatusInternalServerError)
			return
		}
		w.Write([]byte(compact))
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := httptest.NewRecorder()
		handler(w, httptest.NewRequest(http.MethodPost, "/token", nil))
		if took := time.Since(start); w.Code != http.StatusServiceUnavailable || took != 2*time.Second {
			t.Errorf("status %d after %v, want 503 after 2s", w.Code, took)
		}
	})
}

func explain(err error) string {
	var disabled *types.DisabledException
	switch {
	case errors.As(err, &disabled): // KMS's own errors come through
		return "the key is disabled"
	case errors.Is(err, kmssigner.ErrKeyChanged):
		return "KMS signed with another key"
	case errors.Is(err, kmssigner.ErrBadSignature):
		return "KMS answered with a signature that does not verify"
	}
	return err.Error()
}

func TestErrors(t *testing.T) {
	fake := kmstest.New()
	key := fake.AddKey(types.KeySpecEccNistP256)
	signer, err := kmssigner.New(t.Context(), fake, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	_, err = signer.SignMessage(nil, nil, crypto.SHA256)
	if got := explain(err); got != "the key is disabled" {
		t.Errorf("explained as %q", got)
	}
}

func TestHMAC(t *testing.T) {
	fake := kmstest.New()
	key := fake.AddKey(types.KeySpecHmac256)
	mac, err := kmssigner.NewHMAC(t.Context(), fake, key)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jwt.New(jwtkms.HS256).SignedString(mac)
	if err != nil {
		t.Fatal(err)
	}
	check := func(ctx context.Context, compact string) (*jwt.Token, int) {
		token, err := jwt.Parse(compact, jwtkms.HS256.Keyfunc(mac.WithContext(ctx)))
		switch {
		case errors.Is(err, kmssigner.ErrMessageLength): // KMS cannot have signed so long a token
			return nil, http.StatusUnauthorized
		case errors.Is(err, jwtkms.ErrNotChecked):
			return nil, http.StatusServiceUnavailable
		case err != nil:
			return nil, http.StatusUnauthorized
		}
		return token, http.StatusOK
	}
	if _, status := check(t.Context(), compact); status != http.StatusOK {
		t.Errorf("status %d, want 200", status)
	}
	if _, status := check(t.Context(), compact[:len(compact)-4]+"AAAA"); status != http.StatusUnauthorized {
		t.Errorf("forged: status %d, want 401", status)
	}
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	if _, status := check(t.Context(), compact); status != http.StatusServiceUnavailable {
		t.Errorf("disabled key: status %d, want 503", status)
	}
}

func TestInMemory(t *testing.T) {
	test := func(ctx context.Context, claims jwt.MapClaims) error {
		fake := kmstest.New()
		signer, err := kmssigner.New(ctx, fake, fake.AddKey(types.KeySpecEccNistP256))
		if err != nil {
			return err
		}
		compact, err := jwt.NewWithClaims(jwtkms.ES256, claims).SignedString(signer)
		if err != nil {
			return err
		}
		return parse(compact, signer.Public())
	}
	if err := test(t.Context(), jwt.MapClaims{"sub": "alice"}); err != nil {
		t.Error(err)
	}
}

func TestKeyring(t *testing.T) {
	fake, mux := kmstest.New(), http.NewServeMux()
	alias, key := "alias/jwt", fake.AddKey(types.KeySpecEccNistP256)
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	serve := func(ctx context.Context, client keyring.Client) error {
		ring, err := keyring.New(ctx, client, "alias/jwt")
		if err != nil {
			return err
		}
		go ring.Run(ctx)
		mux.Handle("GET /.well-known/jwks.json", ring)
		mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
			claims := jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(15 * time.Minute).Unix()}
			compact, err := ring.Sign(r.Context(), claims) // the kid is in the header
			if err != nil {
				http.Error(w, "try again", http.StatusServiceUnavailable)
				return
			}
			io.WriteString(w, compact)
		})
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/token", nil))
		_, err = jwt.Parse(w.Body.String(), ring.Keyfunc)
		return err
	}
	if err := serve(t.Context(), fake); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	ctx, fake := t.Context(), kmstest.New()
	alias, key, newKey := "alias/jwt", fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	if _, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	fake.Inject(kmstest.Match{Operation: "Sign", Times: 2}, kmstest.Throttle())
	fake.Inject(kmstest.Match{Key: "alias/jwt"}, kmstest.Delay(50*time.Millisecond), kmstest.Corrupt())

	fake.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/jwt"), TargetKeyId: &newKey})

	revive := fake.Inject(kmstest.Match{}, kmstest.Reset()) // this Region is gone
	ireland := fake.Region("eu-west-1")                     // that one is not
	if _, err := kmssigner.New(ctx, fake, key); err == nil {
		t.Error("the Region is not gone")
	}
	revive()
	if _, err := kmssigner.New(ctx, ireland, ireland.AddKey(types.KeySpecEccNistP256)); err != nil {
		t.Error(err)
	}
}

func TestManyCalls(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	httpClient := kmsclient.NewHTTP(64)
	cfg := server.Config()
	client := kms.NewFromConfig(cfg, kmsclient.Limit(64), func(o *kms.Options) {
		o.HTTPClient = httpClient // made once, by kmsclient.NewHTTP(64)
	})
	if _, err := kmssigner.New(t.Context(), client, fake.AddKey(types.KeySpecEccNistP256)); err != nil {
		t.Error(err)
	}
}

func TestMultiRegion(t *testing.T) {
	build := func(cfg aws.Config) (*multiregion.Client, error) {
		client, err := multiregion.New([]multiregion.Region{
			{Client: kms.NewFromConfig(cfg, func(o *kms.Options) { o.Region = "eu-west-1" })},
			{Client: kms.NewFromConfig(cfg, func(o *kms.Options) { o.Region = "eu-central-1" })},
		})
		return client, err
	}
	if _, err := build(aws.Config{}); err != nil {
		t.Error(err)
	}
}

func TestServer(t *testing.T) {
	server := kmstest.NewServer(kmstest.New())
	defer server.Close()
	client := kms.NewFromConfig(server.Config()) // or set AWS_ENDPOINT_URL_KMS to server.URL
	if _, err := client.ListKeys(t.Context(), &kms.ListKeysInput{}); err != nil {
		t.Error(err)
	}
}
