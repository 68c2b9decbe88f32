package kmssigner_test

import (
	"context"
	"crypto"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestZeroValues calls every method of nil and zero values. They return errors
// and do not panic.
func TestZeroValues(t *testing.T) {
	wantError := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.HasPrefix(err.Error(), "kmssigner: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", what, err, want)
		}
	}
	for name, s := range map[string]*kmssigner.Signer{
		"nil":                 nil,
		"zero":                {},
		"nil with a context":  (*kmssigner.Signer)(nil).WithContext(t.Context()),
		"zero with a context": new(kmssigner.Signer).WithContext(t.Context()),
	} {
		if s.Public() != nil || s.KeyARN() != "" || s.HashFunc() != 0 {
			t.Errorf("%s Signer: %v, %q, %v", name, s.Public(), s.KeyARN(), s.HashFunc())
		}
		_, err := s.Sign(nil, make([]byte, 32), crypto.SHA256)
		wantError(name+" Signer, Sign", err, "no key")
		_, err = s.SignMessage(nil, nil, s)
		wantError(name+" Signer, SignMessage", err, "no key")
		_, err = crypto.SignMessage(s, nil, nil, crypto.SHA256)
		wantError(name+" Signer, crypto.SignMessage", err, "no key")
	}
	for name, h := range map[string]*kmssigner.HMAC{
		"nil":                 nil,
		"zero":                {},
		"nil with a context":  (*kmssigner.HMAC)(nil).WithContext(t.Context()),
		"zero with a context": new(kmssigner.HMAC).WithContext(t.Context()),
	} {
		if h.Size() != 0 || h.KeyARN() != "" {
			t.Errorf("%s HMAC: %d, %q", name, h.Size(), h.KeyARN())
		}
		_, err := h.Generate([]byte("m"))
		wantError(name+" HMAC, Generate", err, "no key")
		_, err = h.Verify([]byte("m"), nil)
		wantError(name+" HMAC, Verify", err, "no key")
	}
	for name, client := range map[string]kmssigner.Client{
		"nil": nil, "nil *kms.Client": (*kms.Client)(nil), "nil *kmstest.KMS": (*kmstest.KMS)(nil),
	} {
		_, err := kmssigner.New(t.Context(), client, "alias/a")
		wantError("New with a client that is a "+name, err, "client is nil")
	}
	for name, client := range map[string]kmssigner.HMACClient{
		"nil": nil, "nil *kms.Client": (*kms.Client)(nil), "nil *kmstest.KMS": (*kmstest.KMS)(nil),
	} {
		_, err := kmssigner.NewHMAC(t.Context(), client, "alias/a")
		wantError("NewHMAC with a client that is a "+name, err, "client is nil")
	}
	if _, err := kmssigner.ParsePKIXPublicKey(nil); err == nil {
		t.Error("ParsePKIXPublicKey(nil) succeeded")
	}
}

// TestNewNilContext treats a nil context as context.Background, as WithContext
// does.
func TestNewNilContext(t *testing.T) {
	fake := kmstest.New()
	var none context.Context
	signer, err := kmssigner.New(none, fake, fake.AddKey("ECC_NIST_P256"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.WithContext(none).SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Error(err)
	}
}
