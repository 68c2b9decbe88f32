package main

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// asProgram makes this test binary the program.
const asProgram = "KMSSIGN_TEST_ROTATE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// kill runs the program and kills it with SIGKILL while it waits for the answer
// to the nth call of an operation, or of any operation, which the fake has not
// run. It reports false if the program ended before that call.
func kill(t *testing.T, fake *kmstest.KMS, operation string, n int, args ...string) bool {
	t.Helper()
	defer fake.Inject(kmstest.Match{Operation: operation, Skip: n - 1}, kmstest.Hang())()
	before := fake.Calls(operation)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for fake.Calls(operation)-before < n {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("rotate %q: %v, before call %d of %q", args, err, n, operation)
			}
			return false
		case <-time.After(time.Millisecond):
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Errorf("rotate %q was not killed at call %d of %q", args, n, operation)
	}
	return true
}

// A rollback that is killed between any two of its calls is finished by taking
// it again. The next alias does not exist, so that the rollback makes two
// changes.
func TestKilledRollback(t *testing.T) {
	args := []string{"-alias", "alias/jwt", "-force", "-step"}
	halves, n := 0, 0
	for killed := true; killed; {
		n++
		fake := serve(t)
		first := *keyOf(t, fake, "alias/jwt").KeyId
		works(t, append(args, "prepare"))
		works(t, append(args, "promote"))
		second := *keyOf(t, fake, "alias/jwt").KeyId
		next := "alias/jwt-next"
		if _, err := fake.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: &next}); err != nil {
			t.Fatal(err)
		}

		killed = kill(t, fake, "", n, append(args, "rollback")...)
		_, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &next})
		if killed && err == nil && *keyOf(t, fake, "alias/jwt").KeyId == second {
			halves++ // the first change was made and the second was not
		}
		works(t, append(args, "rollback"))
		works(t, args[:2], "The ring is "+string(keyring.RolledBack)+".")
		for name, want := range map[string]string{"alias/jwt": first, next: second, "alias/jwt-prev": first} {
			if key := keyOf(t, fake, name); *key.KeyId != want || key.KeyState != types.KeyStateEnabled {
				t.Errorf("killed at call %d: %s names %s, which is %s; want %s, enabled", n, name, *key.KeyId, key.KeyState, want)
			}
		}
	}
	if n < 7 || halves == 0 {
		t.Errorf("the rollback made %d calls, and was killed %d times between its changes", n-1, halves)
	}
}
