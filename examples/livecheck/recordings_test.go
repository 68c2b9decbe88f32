package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// Without -yes it makes no call.
func TestRecordingsList(t *testing.T) {
	fake := serve(t)
	status, stdout, stderr := livecheck(t, "-recordings")
	if status != 0 || !strings.Contains(stdout, " ScheduleKeyDeletion\n") || !strings.Contains(stdout, "at most USD 0.") || strings.Contains(stdout, "differ") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if n := fake.Calls(""); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// With -yes it makes as many calls as it lists, and leaves nothing behind.
func TestRecordings(t *testing.T) {
	fake := serve(t)
	const foreign = "alias/recording-a" // the name that a recording uses too
	key := fake.AddKey(types.KeySpecEccNistP256)
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/mine"), TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := livecheck(t, "-recordings", "-yes")
	if status != 0 || !strings.HasSuffix(stdout, " answers, 0 differ\n") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	for _, region := range []string{"eu-central-1", "ap-southeast-1"} {
		there := fake.Region(region)
		aliases, err := there.ListAliases(t.Context(), &kms.ListAliasesInput{})
		if err != nil || len(aliases.Aliases) > 1 {
			t.Errorf("%+v, %v", aliases, err)
		}
		keys, err := there.ListKeys(t.Context(), &kms.ListKeysInput{Limit: aws.Int32(1000)})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys.Keys {
			out, err := there.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: k.KeyId})
			if err != nil {
				t.Fatal(err)
			}
			if state := out.KeyMetadata.KeyState; *k.KeyId != key && state != types.KeyStatePendingDeletion && state != types.KeyStatePendingReplicaDeletion {
				t.Errorf("a key is left %s", state)
			}
		}
	}

	// An alias of somebody else is not deleted.
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String(foreign), TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	livecheck(t, "-recordings", "-yes")
	if _, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(foreign)}); err != nil {
		t.Error(err)
	}
}

// A difference is printed as a recording of its own, and counted.
func TestRecordingsDiffer(t *testing.T) {
	fake := serve(t)
	fake.Inject(kmstest.Match{Operation: "GenerateRandom"}, kmstest.Fail(&types.KMSInternalException{Message: aws.String("out of luck")}))
	status, stdout, stderr := livecheck(t, "-recordings", "-yes")
	if status != 1 || !strings.Contains(stderr, "8 differences") ||
		!strings.Contains(stdout, "\ncall GenerateRandom {\"NumberOfBytes\":0}\nno KMSInternalException out of luck\n") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}
