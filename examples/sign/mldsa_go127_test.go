//go:build go1.27

package main

import (
	"crypto/mldsa"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
)

// TestMLDSA has crypto/mldsa verify the signatures of files on both sides of
// KMS's limit, with public keys that crypto/x509 reads.
func TestMLDSA(t *testing.T) {
	fake := awsenv.Serve(t)
	for _, spec := range []types.KeySpec{types.KeySpecMlDsa44, types.KeySpecMlDsa65, types.KeySpecMlDsa87} {
		for _, message := range []string{"", message, strings.Repeat("a", 4096), strings.Repeat("a", 1<<20)} {
			pub := filepath.Join(t.TempDir(), "pub.pem")
			sig := succeeds(t, message, "-key", fake.AddKey(spec), "-public-key", pub)
			block, _ := pem.Decode([]byte(read(t, pub)))
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if err := mldsa.Verify(key.(*mldsa.PublicKey), []byte(message), []byte(sig), nil); err != nil {
				t.Errorf("%s, %d bytes: %v", spec, len(message), err)
			}
			if mldsa.Verify(key.(*mldsa.PublicKey), []byte(message+"!"), []byte(sig), nil) == nil {
				t.Errorf("%s: the signature verifies with another message", spec)
			}
		}
	}
}
