//lint:file-ignore SA1019 KMS still takes and answers CustomerMasterKeySpec.

package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestSignatures verifies signatures of messages and of digests with the
// standard library, for each RSA and NIST curve spec and each of its
// algorithms.
func TestSignatures(t *testing.T) {
	for _, tt := range []struct {
		spec types.KeySpec
		algs []types.SigningAlgorithmSpec
		size int // of the public key's SubjectPublicKeyInfo
	}{
		{p256, []types.SigningAlgorithmSpec{es256}, 91},
		{p384, []types.SigningAlgorithmSpec{es384}, 120},
		{p521, []types.SigningAlgorithmSpec{es512}, 158},
		{rsa2048, specs[rsa2048].signing, 294},
		{types.KeySpecRsa3072, specs[rsa2048].signing, 422},
		{types.KeySpecRsa4096, specs[rsa2048].signing, 550},
	} {
		t.Run(string(tt.spec), func(t *testing.T) {
			onBoth(t, func(t *testing.T, f fake) { testSignatures(t, f, tt.spec, tt.algs, tt.size) })
		})
	}
}

func testSignatures(t *testing.T, f fake, spec types.KeySpec, algs []types.SigningAlgorithmSpec, size int) {
	id := f.kms.AddKey(spec)
	got := f.publicKey(id)
	want := &kms.GetPublicKeyOutput{
		CustomerMasterKeySpec: types.CustomerMasterKeySpec(spec),
		KeyId:                 aws.String(f.kms.arn("key/" + id)),
		KeySpec:               spec,
		KeyUsage:              signVerify,
		PublicKey:             got.PublicKey,
		SigningAlgorithms:     algs,
		ResultMetadata:        got.ResultMetadata,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("GetPublicKey = %+v\nwant %+v", got, want)
	}
	if len(got.PublicKey) != size {
		t.Errorf("SPKI of %d bytes, want %d", len(got.PublicKey), size)
	}
	public, err := x509.ParsePKIXPublicKey(got.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{1, 100, 4096}
	if len(got.PublicKey) > 300 && !full() {
		sizes = []int{100} // the large RSA keys are slow
	}
	for _, alg := range algs {
		for _, n := range sizes {
			msg := make([]byte, n)
			rand.Read(msg)
			digest := sum(hashOf(alg), msg)
			ofMsg := f.mustSign(signInput(id, msg, alg))
			ofDigest := f.mustSign(&kms.SignInput{KeyId: &id, Message: digest, MessageType: predig, SigningAlgorithm: alg})
			for _, sig := range [][]byte{ofMsg, ofDigest} {
				if err := verifyStd(public, alg, digest, sig); err != nil {
					t.Errorf("%s over %d bytes: %v", alg, n, err)
				}
				// A signature of either message type verifies with both.
				for _, in := range []*kms.VerifyInput{
					{Message: msg},
					{Message: msg, MessageType: raw},
					{Message: digest, MessageType: predig},
				} {
					in.KeyId, in.Signature, in.SigningAlgorithm = &id, sig, alg
					out, err := f.Verify(t.Context(), in)
					if err != nil {
						t.Errorf("Verify %s: %v", alg, err)
					} else if !out.SignatureValid || aws.ToString(out.KeyId) != *want.KeyId || out.SigningAlgorithm != alg {
						t.Errorf("Verify %s = %+v", alg, out)
					}
				}
			}
			if deterministic := strings.HasPrefix(string(alg), "RSASSA_PKCS1"); bytes.Equal(ofMsg, ofDigest) != deterministic {
				t.Errorf("%s: two signatures of one message are equal: %v, want %v", alg, !deterministic, deterministic)
			}
		}
	}
}

// hashOf returns the hash that the name of an RSA or ECDSA algorithm ends in.
func hashOf(alg types.SigningAlgorithmSpec) crypto.Hash {
	switch {
	case strings.HasSuffix(string(alg), "_SHA_256"):
		return crypto.SHA256
	case strings.HasSuffix(string(alg), "_SHA_384"):
		return crypto.SHA384
	case strings.HasSuffix(string(alg), "_SHA_512"):
		return crypto.SHA512
	}
	return 0
}

// verifyStd verifies a signature with the standard library. As in KMS, the salt
// of PSS is as long as the hash.
func verifyStd(public any, alg types.SigningAlgorithmSpec, digest, sig []byte) error {
	hash := hashOf(alg)
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(public, digest, sig) {
			return fmt.Errorf("crypto/ecdsa rejects it")
		}
		return nil
	case *rsa.PublicKey:
		if strings.HasPrefix(string(alg), "RSASSA_PSS") {
			return rsa.VerifyPSS(public, hash, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.VerifyPKCS1v15(public, hash, digest, sig)
	}
	return fmt.Errorf("public key of type %T", public)
}

// TestSignRefusals has a row for each reason for which KMS refuses to sign or
// to verify.
func TestSignRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ec, ec384, rsa := f.kms.AddKey(p256), f.kms.AddKey(p384), f.kms.AddKey(rsa2048)
		disabled, doomed := f.kms.AddKey(p256), f.kms.AddKey(p256)
		f.disable(disabled)
		f.scheduleDeletion(doomed)
		agree := f.create(p256, keyAgreement)
		decrypt := f.create(rsa2048, encryptDecrypt)
		symmetric := f.kms.AddKey(types.KeySpecSymmetricDefault)
		arn := func(id string) string { return f.kms.arn("key/" + id) }
		bytes := func(n int) []byte { return make([]byte, n) }
		enum := "Member must satisfy enum value set: ["
		for _, tt := range []struct {
			reason  string
			in      kms.SignInput
			code    string
			message string // with {op} for the operation
		}{
			{"the model's minimum is 1 byte, whatever the prose says",
				kms.SignInput{KeyId: &ec, Message: bytes(0), SigningAlgorithm: es256},
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1"},
			{"the maximum is 4096 bytes",
				kms.SignInput{KeyId: &ec, Message: bytes(4097), SigningAlgorithm: es256},
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096"},
			{"the form of a request is checked before the key is looked up",
				kms.SignInput{KeyId: aws.String("alias/none"), Message: bytes(0), SigningAlgorithm: es256},
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1"},
			{"all that is wrong with the form is reported at once",
				kms.SignInput{KeyId: aws.String("é"), Message: bytes(0), SigningAlgorithm: es256},
				"ValidationException", "2 validation errors detected: Value 'é' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\\p{ASCII}+$; " +
					"Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1"},
			{"algorithms outside the enum",
				kms.SignInput{KeyId: &ec, Message: bytes(1), SigningAlgorithm: "ES256"},
				"ValidationException", "1 validation error detected: Value 'ES256' at 'signingAlgorithm' failed to satisfy constraint: " + enum + "*"},
			{"message types outside the enum",
				kms.SignInput{KeyId: &ec, Message: bytes(1), SigningAlgorithm: es256, MessageType: "HASH"},
				"ValidationException", "1 validation error detected: Value 'HASH' at 'messageType' failed to satisfy constraint: " + enum + "*"},
			{"at most ten grant tokens",
				kms.SignInput{KeyId: &ec, Message: bytes(1), SigningAlgorithm: es256, GrantTokens: strings.Split("abcdefghijk", "")},
				"ValidationException", "1 validation error detected: Value at 'grantTokens' failed to satisfy constraint: Member must have length less than or equal to 10"},

			{"keys that do not exist",
				kms.SignInput{KeyId: aws.String("01234567-89ab-cdef-0123-456789abcdef"), Message: bytes(1), SigningAlgorithm: es256},
				"NotFoundException", "Key '" + arn("01234567-89ab-cdef-0123-456789abcdef") + "' does not exist"},

			{"disabled keys",
				kms.SignInput{KeyId: &disabled, Message: bytes(1), SigningAlgorithm: es256},
				"DisabledException", arn(disabled) + " is disabled."},
			{"keys that are to be deleted",
				kms.SignInput{KeyId: &doomed, Message: bytes(1), SigningAlgorithm: es256},
				"KMSInvalidStateException", arn(doomed) + " is pending deletion."},
			{"the state is checked before the algorithm",
				kms.SignInput{KeyId: &disabled, Message: bytes(1), SigningAlgorithm: rs256},
				"DisabledException", arn(disabled) + " is disabled."},

			{"elliptic curve keys for key agreement",
				kms.SignInput{KeyId: &agree, Message: bytes(1), SigningAlgorithm: es256},
				"InvalidKeyUsageException", arn(agree) + " key usage is KEY_AGREEMENT which is not valid for {op}."},
			{"RSA keys for encryption",
				kms.SignInput{KeyId: &decrypt, Message: bytes(1), SigningAlgorithm: rs256},
				"InvalidKeyUsageException", arn(decrypt) + " key usage is ENCRYPT_DECRYPT which is not valid for {op}."},
			{"symmetric keys; and the usage is checked before the algorithm",
				kms.SignInput{KeyId: &symmetric, Message: bytes(1), SigningAlgorithm: es256},
				"InvalidKeyUsageException", arn(symmetric) + " key usage is ENCRYPT_DECRYPT which is not valid for {op}."},

			{"the hash is tied to the curve",
				kms.SignInput{KeyId: &ec, Message: bytes(1), SigningAlgorithm: es384},
				"InvalidKeyUsageException", "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256."},
			{"the hash is tied to the curve, the other way round",
				kms.SignInput{KeyId: &ec384, Message: bytes(1), SigningAlgorithm: es256},
				"InvalidKeyUsageException", "Algorithm ECDSA_SHA_256 is incompatible with key spec ECC_NIST_P384."},
			{"algorithms of another type of key",
				kms.SignInput{KeyId: &rsa, Message: bytes(1), SigningAlgorithm: es256},
				"InvalidKeyUsageException", "Algorithm ECDSA_SHA_256 is incompatible with key spec RSA_2048."},
			{"the algorithm is checked before the digest",
				kms.SignInput{KeyId: &ec, Message: bytes(1), MessageType: predig, SigningAlgorithm: es384},
				"InvalidKeyUsageException", "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256."},

			{"digests that are too short",
				kms.SignInput{KeyId: &ec, Message: bytes(31), MessageType: predig, SigningAlgorithm: es256},
				"ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256."},
			{"digests that are too long, though ECDSA could cut them",
				kms.SignInput{KeyId: &ec, Message: bytes(48), MessageType: predig, SigningAlgorithm: es256},
				"ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256."},
			{"digests of another hash with RSA",
				kms.SignInput{KeyId: &rsa, Message: bytes(32), MessageType: predig, SigningAlgorithm: ps384},
				"ValidationException", "Digest is invalid length for algorithm RSASSA_PSS_SHA_384."},
			{"EXTERNAL_MU is for ML-DSA only",
				kms.SignInput{KeyId: &ec, Message: bytes(64), MessageType: mu, SigningAlgorithm: es256},
				"ValidationException", "Message type EXTERNAL_MU is incompatible with key spec ECC_NIST_P256."},
			{"EXTERNAL_MU with RSA",
				kms.SignInput{KeyId: &rsa, Message: bytes(64), MessageType: mu, SigningAlgorithm: ps512},
				"ValidationException", "Message type EXTERNAL_MU is incompatible with key spec RSA_2048."},

			{"DryRun where the call would have succeeded",
				kms.SignInput{KeyId: &ec, Message: bytes(1), SigningAlgorithm: es256, DryRun: aws.Bool(true)},
				"DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
			{"any other reason goes before DryRun",
				kms.SignInput{KeyId: &ec, Message: bytes(33), MessageType: predig, SigningAlgorithm: es256, DryRun: aws.Bool(true)},
				"ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256."},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				out, err := f.Sign(t.Context(), &tt.in)
				if out != nil {
					t.Errorf("got an output and an error: %+v", out)
				}
				checkPrefix(t, err, "Sign", tt.code, tt.message)
				if tt.code == "DryRunOperationException" {
					return // Verify would look at the signature first
				}
				_, err = f.Verify(t.Context(), &kms.VerifyInput{KeyId: tt.in.KeyId, Message: tt.in.Message, MessageType: tt.in.MessageType,
					SigningAlgorithm: tt.in.SigningAlgorithm, GrantTokens: tt.in.GrantTokens, DryRun: tt.in.DryRun, Signature: bytes(64)})
				checkPrefix(t, err, "Verify", tt.code, tt.message)
			})
		}
	})
}

// TestVerifyRefusals checks that the answer to an invalid signature is an error
// without a text.
func TestVerifyRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ec, other, rs := f.kms.AddKey(p256), f.kms.AddKey(p256), f.kms.AddKey(rsa2048)
		msg := []byte("message")
		digest := sha256.Sum256(msg)
		good := f.mustSign(signInput(ec, msg, es256))
		pss := f.mustSign(signInput(rs, msg, ps256))
		short := f.kms.keys[rs].material.(rsaKey).private
		maxSalt, err := rsa.SignPSS(rand.Reader, short, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
		if err != nil {
			t.Fatal(err)
		}
		edit := func(sig []byte, f func([]byte)) []byte { sig = bytes.Clone(sig); f(sig); return sig }
		for _, tt := range []struct {
			reason   string
			id       string
			alg      types.SigningAlgorithmSpec
			msg, sig []byte
		}{
			{"another message", ec, es256, []byte("messagf"), good},
			{"another key", other, es256, msg, good},
			{"a changed signature", ec, es256, msg, edit(good, func(b []byte) { b[len(b)-1] ^= 1 })},
			{"a byte after the signature", ec, es256, msg, append(bytes.Clone(good), 0)},
			{"a byte short", ec, es256, msg, good[:len(good)-1]},
			{"R and S without DER", ec, es256, msg, make([]byte, 64)},
			{"one byte", ec, es256, msg, []byte{0}},
			{"another padding", rs, rs256, msg, pss},
			{"another salt length than the hash's", rs, ps256, msg, maxSalt},
			{"a zero before an RSA signature", rs, ps256, msg, append([]byte{0}, pss...)},
		} {
			for _, dry := range []bool{false, true} { // a dry run checks the signature too
				_, err := f.Verify(t.Context(), &kms.VerifyInput{KeyId: &tt.id, Message: tt.msg, Signature: tt.sig, SigningAlgorithm: tt.alg, DryRun: &dry})
				t.Run(tt.reason, func(t *testing.T) { check(t, err, "Verify", "KMSInvalidSignatureException", "") })
			}
		}
		verify := func(sig []byte, dry bool) error {
			_, err := f.Verify(t.Context(), &kms.VerifyInput{KeyId: &ec, Message: msg, Signature: sig, SigningAlgorithm: es256, DryRun: &dry})
			return err
		}
		check(t, verify(good, true), "Verify", "DryRunOperationException", dryRun.message)
		const constraint = "1 validation error detected: Value at 'signature' failed to satisfy constraint: Member must have length "
		check(t, verify([]byte{}, false), "Verify", "ValidationException", constraint+"greater than or equal to 1")
		check(t, verify(make([]byte, 6145), false), "Verify", "ValidationException", constraint+"less than or equal to 6144")
	})
}

// TestConcurrent calls operations concurrently, for the race detector.
func TestConcurrent(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(p256)
		f.alias("alias/a", id)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				ctx := t.Context()
				for range 4 {
					if _, err := f.Sign(ctx, signInput("alias/a", []byte("m"), es256)); err != nil {
						t.Error(err)
					}
					other := f.kms.AddKey(p256)
					name := fmt.Sprintf("alias/%s", other)
					f.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &other})
					f.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: &id})
					f.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &other})
					f.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &other})
					f.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &other})
					f.ListAliases(ctx, nil)
					f.ListKeys(ctx, nil)
					if i%2 == 0 {
						f.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &name})
					}
				}
			})
		}
		wg.Wait()
		if n := len(f.kms.keys); n != 65 {
			t.Errorf("%d keys, want 65", n)
		}
		if n := len(f.kms.aliases); n != 33 {
			t.Errorf("%d aliases, want 33", n)
		}
	})
}
