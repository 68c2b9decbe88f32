package kmstest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestMac(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		for _, tt := range []struct {
			spec types.KeySpec
			alg  types.MacAlgorithmSpec
			hash func() hash.Hash
			size int
		}{
			{types.KeySpecHmac224, types.MacAlgorithmSpecHmacSha224, sha256.New224, 28},
			{types.KeySpecHmac256, types.MacAlgorithmSpecHmacSha256, sha256.New, 32},
			{types.KeySpecHmac384, types.MacAlgorithmSpecHmacSha384, sha512.New384, 48},
			{types.KeySpecHmac512, types.MacAlgorithmSpecHmacSha512, sha512.New, 64},
		} {
			spec, alg := tt.spec, tt.alg
			id := f.kms.AddKey(spec)
			secret := f.kms.keys[id].material.(hmacKey)
			if len(secret.secret) != tt.size {
				t.Errorf("%s: secret of %d bytes", spec, len(secret.secret))
			}
			msg := make([]byte, 4096)
			rand.Read(msg)
			h := hmac.New(tt.hash, secret.secret)
			h.Write(msg)
			want := h.Sum(nil)
			out, err := f.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: &id, Message: msg, MacAlgorithm: alg})
			if err != nil || !bytes.Equal(out.Mac, want) || *out.KeyId != f.kms.arn("key/"+id) || out.MacAlgorithm != alg {
				t.Errorf("GenerateMac = %+v, %v", out, err)
			}
			verify := func(msg, mac []byte, dry bool) error {
				out, err := f.VerifyMac(t.Context(), &kms.VerifyMacInput{KeyId: &id, Message: msg, Mac: mac, MacAlgorithm: alg, DryRun: &dry})
				if err == nil && (!out.MacValid || *out.KeyId != f.kms.arn("key/"+id) || out.MacAlgorithm != alg) {
					t.Errorf("VerifyMac = %+v", out)
				}
				return err
			}
			if err := verify(msg, want, false); err != nil {
				t.Error(err)
			}
			for _, dry := range []bool{false, true} {
				check(t, verify(msg[1:], want, dry), "VerifyMac", "KMSInvalidMacException", "")
				check(t, verify(msg, want[1:], dry), "VerifyMac", "KMSInvalidMacException", "")
				check(t, verify(msg, append(bytes.Clone(want), 0), dry), "VerifyMac", "KMSInvalidMacException", "")
			}
			check(t, verify(msg, want, true), "VerifyMac", "DryRunOperationException", dryRun.message)
		}
	})
}

func TestMacRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id, sign, off := f.kms.AddKey(types.KeySpecHmac256), f.kms.AddKey(p256), f.kms.AddKey(types.KeySpecHmac256)
		f.disable(off)
		const hs256, hs512 = types.MacAlgorithmSpecHmacSha256, types.MacAlgorithmSpecHmacSha512
		for _, tt := range []struct {
			reason        string
			in            kms.GenerateMacInput
			code, message string
		}{
			{"no empty messages",
				kms.GenerateMacInput{KeyId: &id, Message: []byte{}, MacAlgorithm: hs256},
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1"},
			{"no long messages",
				kms.GenerateMacInput{KeyId: &id, Message: make([]byte, 4097), MacAlgorithm: hs256},
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096"},
			{"algorithms outside the enum",
				kms.GenerateMacInput{KeyId: &id, Message: []byte("m"), MacAlgorithm: "HS256"},
				"ValidationException", "1 validation error detected: Value 'HS256' at 'macAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [*"},
			{"keys that are not there",
				kms.GenerateMacInput{KeyId: aws.String("alias/x"), Message: []byte("m"), MacAlgorithm: hs256},
				"NotFoundException", "Alias arn:aws:kms:us-east-1:111122223333:alias/x is not found."},
			{"disabled keys, before the algorithm",
				kms.GenerateMacInput{KeyId: &off, Message: []byte("m"), MacAlgorithm: hs512},
				"DisabledException", f.kms.arn("key/"+off) + " is disabled."},
			{"keys that sign",
				kms.GenerateMacInput{KeyId: &sign, Message: []byte("m"), MacAlgorithm: hs256},
				"InvalidKeyUsageException", f.kms.arn("key/"+sign) + " key usage is SIGN_VERIFY which is not valid for {op}."},
			{"each spec has one algorithm",
				kms.GenerateMacInput{KeyId: &id, Message: []byte("m"), MacAlgorithm: hs512},
				"InvalidKeyUsageException", "Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256."},
			{"a dry run",
				kms.GenerateMacInput{KeyId: &id, Message: []byte("m"), MacAlgorithm: hs256, DryRun: aws.Bool(true)},
				"DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				_, err := f.GenerateMac(t.Context(), &tt.in)
				checkPrefix(t, err, "GenerateMac", tt.code, tt.message)
				if tt.code == "DryRunOperationException" {
					return // VerifyMac would look at the MAC first
				}
				_, err = f.VerifyMac(t.Context(), &kms.VerifyMacInput{KeyId: tt.in.KeyId, Message: tt.in.Message, MacAlgorithm: tt.in.MacAlgorithm, Mac: []byte("m")})
				checkPrefix(t, err, "VerifyMac", tt.code, tt.message)
			})
		}
	})
}
