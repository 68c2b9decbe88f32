// Package awsenv gives the tests of the programs an AWS environment of their
// own.
package awsenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// Isolate hides this machine's AWS configuration from the test. The SDK then
// looks for credentials on this machine only, and makes one attempt for a call.
func Isolate(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // which restores it after the test
			os.Unsetenv(name)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
}

// Serve starts a fake KMS for the test and sets the environment so that the SDK
// uses it and nothing else.
func Serve(t *testing.T, optFns ...func(*kmstest.Options)) *kmstest.KMS {
	t.Helper()
	Isolate(t)
	fake := kmstest.New(optFns...)
	server := kmstest.NewServer(fake)
	t.Cleanup(server.Close)
	credentials, err := server.Config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", credentials.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", credentials.SecretAccessKey)
	t.Setenv("AWS_ENDPOINT_URL_KMS", server.URL)
	t.Setenv("AWS_REGION", server.Config().Region)
	return fake
}
