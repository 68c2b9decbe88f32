package kmstest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestKeyRotation(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		status := func(f fake, id string) (*kms.GetKeyRotationStatusOutput, error) {
			return f.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &id})
		}
		enable := func(id string, days *int32) error {
			_, err := f.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &id, RotationPeriodInDays: days})
			return err
		}
		disable := func(id string) error {
			_, err := f.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &id})
			return err
		}
		off := func(id string) {
			t.Helper()
			out, err := status(f, id)
			if err != nil || out.KeyRotationEnabled || *out.KeyId != f.kms.arn("key/"+id) || out.RotationPeriodInDays != nil || out.NextRotationDate != nil {
				t.Errorf("%+v, %v", out, err)
			}
		}
		on := func(id string, days int32) {
			t.Helper()
			out, err := status(f, id)
			if err != nil || !out.KeyRotationEnabled || *out.RotationPeriodInDays != days {
				t.Fatalf("%+v, %v", out, err)
			}
			if next := time.Now().AddDate(0, 0, int(days)); out.NextRotationDate.After(next) || out.NextRotationDate.Before(next.Add(-time.Minute)) {
				t.Errorf("next rotation %v", out.NextRotationDate)
			}
		}

		// Keys that sign or make MACs are not rotated, and say so.
		for _, spec := range []types.KeySpec{p256, rsa2048, mldsa44, types.KeySpecHmac256} {
			id := f.kms.AddKey(spec)
			off(id)
			check(t, enable(id, nil), "EnableKeyRotation", "UnsupportedOperationException", "")
			check(t, disable(id), "DisableKeyRotation", "UnsupportedOperationException", "")
			f.disable(id)
			off(id)
			check(t, enable(id, nil), "EnableKeyRotation", "DisabledException", f.kms.arn("key/"+id)+" is disabled.")
		}
		external := f.imported(p256)
		_, err := status(f, external)
		check(t, err, "GetKeyRotationStatus", "UnsupportedOperationException", f.kms.arn("key/"+external)+" origin is EXTERNAL which is not valid for this operation.")
		check(t, enable(external, nil), "EnableKeyRotation", "KMSInvalidStateException", f.kms.arn("key/"+external)+" is pending import.")

		id := f.kms.AddKey(types.KeySpecSymmetricDefault)
		off(id)
		for _, days := range []int32{90, 180, 2560} {
			if err := enable(id, &days); err != nil {
				t.Error(err)
			}
			on(id, days)
		}
		check(t, enable(id, aws.Int32(89)), "EnableKeyRotation", "ValidationException", "1 validation error detected: Value '89' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value greater than or equal to 90")
		on(id, 2560)
		if err := disable(id); err != nil {
			t.Error(err)
		}
		off(id)
		if err := enable(id, nil); err != nil {
			t.Error(err)
		}
		on(id, 365)
		f.scheduleDeletion(id)
		off(id)

		// Replicas have the rotation of their primary key.
		id = f.multiRegion(types.KeySpecSymmetricDefault, encryptDecrypt)
		if err := enable(id, aws.Int32(100)); err != nil {
			t.Error(err)
		}
		if _, err := replicate(f, id, "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		eu := f.there("eu-west-1")
		if out, err := status(eu, id); err != nil || !out.KeyRotationEnabled || *out.RotationPeriodInDays != 100 {
			t.Errorf("%+v, %v", out, err)
		}
		_, err = eu.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &id})
		check(t, err, "DisableKeyRotation", "UnsupportedOperationException", eu.kms.arn("key/"+id)+" is not a multi-region primary key.")

		// A new primary key takes the rotation with it.
		if _, err := f.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &id, PrimaryRegion: aws.String("eu-west-1")}); err != nil {
			t.Fatal(err)
		}
		on(id, 100)
		if _, err := eu.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &id}); err != nil {
			t.Error(err)
		}
		off(id)
	})
}

func TestGenerateRandom(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		seen := map[string]bool{}
		for _, n := range []int32{1, 12, 16, 16, 44, 1024} {
			out, err := f.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: &n})
			if err != nil || len(out.Plaintext) != int(n) || n > 1 && seen[string(out.Plaintext)] {
				t.Errorf("%d bytes: %+v, %v", n, out, err)
				continue
			}
			seen[string(out.Plaintext)] = true
		}
		_, err := f.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(8), CustomKeyStoreId: aws.String("cks-1")})
		check(t, err, "GenerateRandom", "CustomKeyStoreNotFoundException", "kmstest: custom key stores are not supported")
		_, err = f.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(8), Recipient: &types.RecipientInfo{}})
		check(t, err, "GenerateRandom", "UnsupportedOperationException", "kmstest: answers to Nitro enclaves are not supported")
	})
}
