package main

import (
	"crypto"
	"crypto/ecdsa"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
)

// check verifies an ECDSA signature in DER.
func check(t *testing.T, key crypto.PublicKey, hash crypto.Hash, message, sig string) {
	t.Helper()
	h := hash.New()
	h.Write([]byte(message))
	if !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), h.Sum(nil), []byte(sig)) {
		t.Errorf("crypto/ecdsa refuses the signature %x", sig)
	}
}

// TestOpenSSL has OpenSSL verify a signature by every RSA and ECDSA algorithm,
// with every hash of the latter, and by Ed25519, and refuse it for another
// file.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	fake := awsenv.Serve(t)
	dir := t.TempDir()
	in, other := write(t, message), write(t, message+"!")
	sig, pub := filepath.Join(dir, "sig"), filepath.Join(dir, "pub.pem")
	judge := func(spec types.KeySpec, flags []string, command ...string) {
		t.Helper()
		succeeds(t, "", slices.Concat([]string{"-key", fake.AddKey(spec), "-in", in, "-out", sig, "-public-key", pub}, flags)...)
		for file, good := range map[string]bool{in: true, other: false} {
			args := slices.Clone(command)
			for i, arg := range args {
				args[i] = strings.NewReplacer("PUB", pub, "SIG", sig, "FILE", file).Replace(arg)
			}
			out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
			if (err == nil) != good {
				t.Errorf("%s %q: openssl %q: %v: %s", spec, flags, args, err, out)
			}
		}
	}
	dgst := func(hash string) []string {
		return []string{"dgst", "-" + hash, "-verify", "PUB", "-signature", "SIG", "FILE"}
	}
	for _, spec := range []types.KeySpec{types.KeySpecRsa2048, types.KeySpecRsa3072, types.KeySpecRsa4096} {
		judge(spec, nil, dgst("sha256")...)
		for _, bits := range []string{"256", "384", "512"} {
			judge(spec, []string{"-alg", "RSASSA_PKCS1_V1_5_SHA_" + bits}, dgst("sha"+bits)...)
			pss := []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}
			judge(spec, []string{"-alg", "RSASSA_PSS_SHA_" + bits}, slices.Insert(dgst("sha"+bits), 2, pss...)...)
		}
	}
	for spec, native := range map[types.KeySpec]string{
		types.KeySpecEccNistP256: "sha256", types.KeySpecEccNistP384: "sha384", types.KeySpecEccNistP521: "sha512", types.KeySpecEccSecgP256k1: "sha256",
	} {
		judge(spec, nil, dgst(native)...)
		judge(spec, []string{"-raw"}, dgst(native)...)
		for _, h := range hashes {
			name := strings.ToLower(h.name)
			if short, ok := strings.CutPrefix(name, "sha-"); ok {
				name = "sha" + strings.Replace(short, "/", "-", 1)
			}
			judge(spec, []string{"-hash", h.name}, dgst(name)...)
		}
	}
	judge(types.KeySpecEccNistEdwards25519, nil, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "PUB", "-sigfile", "SIG", "-in", "FILE")
}

// A signature by another key of the same type is refused.
func TestOtherKey(t *testing.T) {
	fake := awsenv.Serve(t)
	for spec := range specs {
		one, two := fake.AddKey(spec), fake.AddKey(spec)
		sig := write(t, succeeds(t, message, "-key", one))
		for _, flags := range [][]string{nil, {"-remote"}} {
			fails(t, "does not verify", 1, message, append(flags, "-key", two, "-verify", sig)...)
		}
	}
}
