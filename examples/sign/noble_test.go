//go:build noble

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
)

// nobleScript verifies a file. The public key is at the end of its
// SubjectPublicKeyInfo.
const nobleScript = `
import { readFileSync } from 'node:fs';
import { ml_dsa44, ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js';
const [name, size, pub, sig, file] = process.argv.slice(2);
const pem = readFileSync(pub, 'latin1').replace(/-----.*-----/g, '');
const key = Uint8Array.from(Buffer.from(pem, 'base64')).slice(-Number(size));
const scheme = { ml_dsa44, ml_dsa65, ml_dsa87 }[name];
const good = scheme.verify(new Uint8Array(readFileSync(sig)), new Uint8Array(readFileSync(file)), key);
console.log(good ? 'good' : 'bad');
`

// TestNoble has the npm package @noble/post-quantum verify ML-DSA signatures of
// files on both sides of KMS's limit. .ci/noble installs it into the directory
// NOBLE, and runs this.
func TestNoble(t *testing.T) {
	script := filepath.Join(os.Getenv("NOBLE"), "verify.mjs")
	if err := os.WriteFile(script, []byte(nobleScript), 0o600); err != nil {
		t.Fatal(err)
	}
	fake := awsenv.Serve(t)
	for _, tt := range []struct {
		spec       types.KeySpec
		name, size string
	}{
		{types.KeySpecMlDsa44, "ml_dsa44", "1312"},
		{types.KeySpecMlDsa65, "ml_dsa65", "1952"},
		{types.KeySpecMlDsa87, "ml_dsa87", "2592"},
	} {
		for _, message := range []string{"", message, strings.Repeat("a", 4096), strings.Repeat("a", 1<<20)} {
			dir := t.TempDir()
			sig, pub := filepath.Join(dir, "sig"), filepath.Join(dir, "pub.pem")
			succeeds(t, message, "-key", fake.AddKey(tt.spec), "-out", sig, "-public-key", pub)
			for file, want := range map[string]string{write(t, message): "good\n", write(t, message+"!"): "bad\n"} {
				out, err := exec.CommandContext(t.Context(), "node", script, tt.name, tt.size, pub, sig, file).CombinedOutput()
				if err != nil || string(out) != want {
					t.Errorf("%s, %d bytes: %v, %q, want %q", tt.spec, len(message), err, out, want)
				}
			}
		}
	}
}
