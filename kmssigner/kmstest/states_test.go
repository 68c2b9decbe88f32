package kmstest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestStates takes a key through its states.
func TestStates(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		id := f.kms.AddKey(p256)
		arn := f.kms.arn("key/" + id)
		f.alias("alias/a", id)
		state := func(want types.KeyState) {
			t.Helper()
			out, err := f.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
			if err != nil {
				t.Fatal(err)
			}
			if md := out.KeyMetadata; md.KeyState != want || md.Enabled != (want == "Enabled") || (md.DeletionDate != nil) != (want == "PendingDeletion") {
				t.Errorf("%s, enabled %v, deletion %v; want %s", md.KeyState, md.Enabled, md.DeletionDate, want)
			}
		}
		enable := func() error { _, err := f.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &arn}); return err }
		disable := func() error { _, err := f.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id}); return err }
		cancel := func() error { _, err := f.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &id}); return err }
		schedule := func(days *int32) (*kms.ScheduleKeyDeletionOutput, error) {
			return f.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: days})
		}
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}

		state("Enabled")
		ok(enable()) // no error to repeat it
		ok(disable())
		ok(disable())
		state("Disabled")
		ok(enable())
		state("Enabled")
		check(t, cancel(), "CancelKeyDeletion", "KMSInvalidStateException", arn+" is not pending deletion.")

		for days, text := range map[int32]string{
			0:   "1 validation error detected: Value '0' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 1",
			6:   "PendingWindowInDays must be between 7 and 30",
			31:  "PendingWindowInDays must be between 7 and 30",
			366: "1 validation error detected: Value '366' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value less than or equal to 365",
		} {
			_, err := schedule(&days)
			check(t, err, "ScheduleKeyDeletion", "ValidationException", text)
		}
		out, err := schedule(aws.Int32(7))
		ok(err)
		week := time.Now().AddDate(0, 0, 7)
		if d := aws.ToTime(out.DeletionDate); d.Before(week.Add(-time.Minute)) || d.After(week) ||
			*out.KeyId != arn || out.KeyState != "PendingDeletion" || *out.PendingWindowInDays != 7 {
			t.Errorf("ScheduleKeyDeletion = %+v", out)
		}
		state("PendingDeletion")
		pending := arn + " is pending deletion."
		_, err = schedule(nil)
		check(t, err, "ScheduleKeyDeletion", "KMSInvalidStateException", pending)
		check(t, enable(), "EnableKey", "KMSInvalidStateException", pending)
		check(t, disable(), "DisableKey", "KMSInvalidStateException", pending)
		_, err = f.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/b"), TargetKeyId: &id})
		check(t, err, "CreateAlias", "KMSInvalidStateException", pending)
		_, err = f.Sign(ctx, signInput("alias/a", []byte("m"), es256)) // the alias still leads there
		check(t, err, "Sign", "KMSInvalidStateException", pending)

		ok(cancel())
		state("Disabled") // not Enabled, which it was
		out, err = schedule(nil)
		ok(err)
		if *out.PendingWindowInDays != 30 {
			t.Errorf("window of %d days by default", *out.PendingWindowInDays)
		}
	})
}
