package jwtkms_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	_ "crypto/sha512"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

var _ jwtkms.MAC = (*kmssigner.HMAC)(nil)

var hsMethods = map[*jwtkms.SigningMethod]types.KeySpec{
	jwtkms.HS256: types.KeySpecHmac256,
	jwtkms.HS384: types.KeySpecHmac384,
	jwtkms.HS512: types.KeySpecHmac512,
}

func newHMAC(t *testing.T, client kmssigner.HMACClient, keyID string) *kmssigner.HMAC {
	t.Helper()
	mac, err := kmssigner.NewHMAC(t.Context(), client, keyID)
	if err != nil {
		t.Fatal(err)
	}
	return mac
}

// A counting KMS counts the VerifyMac calls.
type counting struct {
	*kmstest.KMS
	verified int
}

func (c *counting) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	c.verified++
	return c.KMS.VerifyMac(ctx, in, optFns...)
}

func TestHS(t *testing.T) {
	fake := kmstest.New()
	for method, spec := range hsMethods {
		client := &counting{KMS: fake}
		mac := newHMAC(t, client, fake.AddKey(spec))
		if got, err := jwtkms.MethodFor(mac); got != method {
			t.Errorf("MethodFor = %v, %v; want %s", got, err, method.Alg())
		}
		compact, err := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "alice"}).SignedString(mac.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Parse(compact, method.Keyfunc(mac))
		if err != nil || len(token.Signature) != mac.Size() {
			t.Fatalf("%s: %v", method.Alg(), err)
		}
		if client.verified != 1 {
			t.Errorf("%s: verifying made %d calls, want 1", method.Alg(), client.verified)
		}

		other := newHMAC(t, fake, fake.AddKey(spec))
		if _, err := jwt.Parse(compact, method.Keyfunc(other)); !errors.Is(err, jwt.ErrSignatureInvalid) {
			t.Errorf("%s, with another key: %v, want ErrSignatureInvalid", method.Alg(), err)
		}
	}
}

// A localMAC has its key in memory, so that golang-jwt's own methods can verify
// what it signs and sign what it verifies.
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

func TestHSAgreesWithStock(t *testing.T) {
	for method, hash := range map[*jwtkms.SigningMethod]crypto.Hash{
		jwtkms.HS256: crypto.SHA256, jwtkms.HS384: crypto.SHA384, jwtkms.HS512: crypto.SHA512,
	} {
		mac := localMAC{hash, bytes.Repeat([]byte{'k'}, hash.Size())}
		compact, err := jwt.New(method).SignedString(mac)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stockVerify(compact, method.Alg(), mac.key); err != nil {
			t.Errorf("%s: golang-jwt's own method: %v", method.Alg(), err)
		}
		stock, err := jwt.New(jwt.GetSigningMethod(method.Alg())).SignedString(mac.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.Parse(stock, method.Keyfunc(mac)); err != nil {
			t.Errorf("%s: a token of golang-jwt's own method: %v", method.Alg(), err)
		}
	}
}

// golang-jwt's parser returns ErrTokenSignatureInvalid for an outage and for a
// forgery. The wrapped errors differ.
func TestOutageIsNotForgery(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecHmac256)
	mac := newHMAC(t, fake, keyID)
	compact, err := jwt.New(jwtkms.HS256).SignedString(mac)
	if err != nil {
		t.Fatal(err)
	}
	parse := func(compact string, mac *kmssigner.HMAC) error {
		_, err := jwt.Parse(compact, jwtkms.HS256.Keyfunc(mac))
		return err
	}
	check := func(reason string, err error, forgery bool) {
		t.Helper()
		if !errors.Is(err, jwt.ErrTokenSignatureInvalid) || errors.Is(err, jwt.ErrSignatureInvalid) != forgery || errors.Is(err, jwtkms.ErrNotChecked) == forgery {
			t.Errorf("%s: %v", reason, err)
		}
	}
	check("forged", parse(compact[:strings.LastIndex(compact, ".")+1]+strings.Repeat("A", 43), mac), true)
	check("cut off", parse(compact[:len(compact)-4], mac), true)
	check("of an empty signature", parse(compact[:strings.LastIndex(compact, ".")+1], mac), true)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = parse(compact, mac.WithContext(ctx))
	check("cancelled", err, false)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v does not wrap context.Canceled", err)
	}

	long, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": strings.Repeat("a", 5000)}).SignedString([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	err = parse(long, mac)
	check("too long for KMS", err, false)
	if !errors.Is(err, kmssigner.ErrMessageLength) {
		t.Errorf("too long: %v does not wrap ErrMessageLength", err)
	}

	server := kmstest.NewServer(fake)
	remote := newHMAC(t, kms.NewFromConfig(server.Config(), func(o *kms.Options) { o.RetryMaxAttempts = 1 }), keyID)
	server.Close()
	err = parse(compact, remote)
	check("no server", err, false)
	if _, ok := errors.AsType[net.Error](err); !ok {
		t.Errorf("no server: %v does not wrap a net.Error", err)
	}

	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &keyID}); err != nil {
		t.Fatal(err)
	}
	err = parse(compact, mac)
	check("disabled key", err, false)
	if apiErr, ok := errors.AsType[smithy.APIError](err); !ok || apiErr.ErrorCode() != "DisabledException" {
		t.Errorf("disabled key: %v does not wrap the SDK's error", err)
	}
}

func TestHSRefuses(t *testing.T) {
	fake := kmstest.New()
	mac256, mac224 := newHMAC(t, fake, fake.AddKey(types.KeySpecHmac256)), newHMAC(t, fake, fake.AddKey(types.KeySpecHmac224))
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
	for method := range hsMethods {
		keys := []any{nil, []byte("secret"), "secret", signer, signer.Public(), mac224, (*kmssigner.HMAC)(nil), &kmssigner.HMAC{}}
		if method != jwtkms.HS256 {
			keys = append(keys, mac256)
		}
		for _, key := range keys {
			if _, err := method.Sign("signing string", key); !errors.Is(err, jwt.ErrInvalidKeyType) {
				t.Errorf("%s, Sign with a %T: %v; want jwt.ErrInvalidKeyType", method.Alg(), key, err)
			}
			if err := method.Verify("signing string", make([]byte, 32), key); !errors.Is(err, jwt.ErrInvalidKeyType) {
				t.Errorf("%s, Verify with a %T: %v; want jwt.ErrInvalidKeyType", method.Alg(), key, err)
			}
		}
	}
	// An HS method must not take a public key as its secret, and the other
	// methods must not take a MAC.
	if _, err := jwtkms.ES256.Sign("signing string", mac256); !errors.Is(err, jwt.ErrInvalidKeyType) || !strings.Contains(err.Error(), "MACs of 32 bytes") {
		t.Errorf("ES256, Sign with a MAC: %v", err)
	}
	if err := jwtkms.ES256.Verify("signing string", make([]byte, 64), mac256); !errors.Is(err, jwt.ErrInvalidKeyType) {
		t.Errorf("ES256, Verify with a MAC: %v", err)
	}
	if _, err := jwtkms.MethodFor(mac224); !errors.Is(err, jwt.ErrInvalidKeyType) {
		t.Errorf("MethodFor a MAC of 28 bytes: %v", err)
	}
	if _, err := jwtkms.Thumbprint(mac256); !errors.Is(err, jwt.ErrInvalidKeyType) {
		t.Errorf("Thumbprint of a MAC: %v", err)
	}
	if _, err := jwt.NewWithClaims(jwtkms.HS256, jwt.MapClaims{"sub": strings.Repeat("a", 5000)}).SignedString(mac256); !errors.Is(err, kmssigner.ErrMessageLength) {
		t.Errorf("a token too long for KMS: %v", err)
	}
	if sig, err := jwtkms.HS256.Sign("signing string", badMAC{localMAC{hash: crypto.SHA256}}); sig != nil || err == nil || !strings.Contains(err.Error(), "made a bad signature: it has 31 bytes, want 32") {
		t.Errorf("a MAC of the wrong length: %x, %v", sig, err)
	}
}

type badMAC struct{ localMAC }

func (badMAC) Generate([]byte) ([]byte, error) { return make([]byte, 31), nil }
