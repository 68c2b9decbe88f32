package plugins_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// newSigner returns a Signer for a key that the environment gives access to, such
// as "alias/ca".
func newSigner(ctx context.Context, keyID string) (*kmssigner.Signer, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	return kmssigner.New(ctx, kms.NewFromConfig(cfg), keyID)
}

// TestStart follows the page's first step, with a fake KMS as the environment.
func TestStart(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	credentials, err := server.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_KMS":  server.URL,
		"AWS_REGION":            server.Config().Region,
		"AWS_ACCESS_KEY_ID":     credentials.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN":     credentials.SessionToken,
		"AWS_CONFIG_FILE":       os.DevNull,
	} {
		t.Setenv(name, value)
	}
	signer, err := newSigner(t.Context(), fake.AddKey(types.KeySpecEccNistP384))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newCA(signer, "Example CA"); err != nil {
		t.Error(err)
	}

	// The page shows the function.
	page, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("start_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, snippet, _ := strings.Cut(string(page), "```go\n")
	snippet, _, found := strings.Cut(snippet, "```\n")
	if !found || !strings.Contains(string(source), snippet) {
		t.Errorf("the snippet of the page is not in this file:\n%s", snippet)
	}
}
