package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// writer is a client that changes the state without pause. It counts in a tag
// of its key, moves an alias between two keys and creates keys.
type writer struct {
	name    string
	keys    []string // two keys that it has from the start, and all others that it was told of
	checked int      // number of keys that check has seen

	// tags and moves count changes. The tag has the number of the last one, and
	// the alias names the key with that number modulo 2.
	tags, moves counter
}

type counter struct{ sent, answered int }

func (w *writer) alias() string { return "alias/" + w.name }

// change makes a change and reports whether it was answered.
func (w *writer) change(ctx context.Context, client *kms.Client) bool {
	w.tags.sent++
	number := strconv.Itoa(w.tags.sent)
	_, err := client.TagResource(ctx, &kms.TagResourceInput{KeyId: &w.keys[0], Tags: []types.Tag{{TagKey: aws.String("n"), TagValue: &number}}})
	if err == nil {
		w.tags.answered = w.tags.sent
		w.moves.sent++
		_, err = client.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String(w.alias()), TargetKeyId: &w.keys[w.moves.sent%2]})
	}
	if err == nil {
		w.moves.answered = w.moves.sent
	}
	if err == nil && w.tags.sent%5 == 0 {
		var out *kms.CreateKeyOutput
		if out, err = client.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: "HMAC_224", KeyUsage: "GENERATE_VERIFY_MAC"}); err == nil {
			w.keys = append(w.keys, *out.KeyMetadata.KeyId)
		}
	}
	return err == nil
}

// check compares what the program has with what it answered.
func (w *writer) check(t *testing.T, client *kms.Client) {
	t.Helper()
	for _, id := range w.keys[w.checked:] {
		if _, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id}); err != nil {
			t.Errorf("a key that was answered is lost: %v", err)
		}
	}
	w.checked = len(w.keys)
	tags, err := client.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: &w.keys[0]})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if len(tags.Tags) == 1 {
		n, _ = strconv.Atoi(*tags.Tags[0].TagValue)
	}
	if n < w.tags.answered || n > w.tags.sent {
		t.Errorf("%s: the tag has change %d; %d were answered, %d sent", w.name, n, w.tags.answered, w.tags.sent)
	}
	w.tags = counter{n, n}
	alias, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(w.alias())})
	if err != nil {
		t.Fatal(err)
	}
	switch *alias.KeyMetadata.KeyId {
	case w.keys[w.moves.answered%2]:
		w.moves.sent = w.moves.answered
	case w.keys[w.moves.sent%2]:
		w.moves.answered = w.moves.sent
	default:
		t.Errorf("%s is not where move %d or %d put it", w.alias(), w.moves.answered, w.moves.sent)
	}
}

// TestKill kills the real program with SIGKILL at random moments while clients
// change its state, and starts it again. The state is never damaged, and a
// change that was answered is never lost.
func TestKill(t *testing.T) {
	rounds := 12
	if full() {
		rounds = 60
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"-state", state, "-key", stateKey}

	p := spawn(t, args...)
	jwks := publicKey(t, p.client(""), "alias/jwt").PublicKey
	var writers []*writer
	for i := range 4 {
		w := &writer{name: fmt.Sprintf("writer-%d", i)}
		for range 2 {
			out, err := p.client("").CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: "HMAC_224", KeyUsage: "GENERATE_VERIFY_MAC"})
			if err != nil {
				t.Fatal(err)
			}
			w.keys = append(w.keys, *out.KeyMetadata.KeyId)
		}
		if _, err := p.client("").CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String(w.alias()), TargetKeyId: &w.keys[0]}); err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
	}
	changes := 0
	for range rounds {
		client := p.client("")
		var answered atomic.Int64
		enough := make(chan struct{})
		killAfter := 1 + random.Int64N(60)
		var once sync.Once
		var wg sync.WaitGroup
		for _, w := range writers {
			wg.Go(func() {
				for w.change(context.Background(), client) {
					if answered.Add(1) >= killAfter {
						once.Do(func() { close(enough) })
					}
				}
			})
		}
		<-enough
		spin(time.Duration(random.Int64N(int64(4 * time.Millisecond))))
		if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.cmd.Wait()
		wg.Wait() // the next call of each fails
		changes += int(answered.Load())

		p = spawn(t, args...)
		client = p.client("")
		for _, w := range writers {
			w.check(t, client)
		}
		if got := publicKey(t, client, "alias/jwt").PublicKey; string(got) != string(jwks) {
			t.Error("alias/jwt has another key")
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, w := range writers {
		w.checked = 0 // all keys, after all kills
		w.check(t, p.client(""))
	}
	t.Logf("%d kills, %d changes", rounds, changes)
	if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// spin waits for a time that is too short for the scheduler.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// TestTerminate ends the real program with SIGTERM.
func TestTerminate(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	p := spawn(t, "-state", state)
	id := createKey(t, p.client(""))
	conn := dial(t, p.env["AWS_ENDPOINT_URL_KMS"][len("http://"):]) // keeps nothing waiting
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v, %s", err, &p.stderr)
	}
	t.Logf("ended after %v", time.Since(start).Round(time.Millisecond))
	conn.Close()
	p = spawn(t, "-state", state)
	if _, err := p.client("").DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id}); err != nil {
		t.Error(err)
	}
}

func createKey(t *testing.T, client *kms.Client) string {
	t.Helper()
	out, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"})
	if err != nil {
		t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

// TestStartUp logs how long the real program takes until a client can use it.
func TestStartUp(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"-state", state, "-key", "alias/ec=ECC_NIST_P256", "-key", "alias/rsa=RSA_4096", "-key", "alias/pq=ML_DSA_65"}
	for _, when := range []string{"a new state", "the same state"} {
		start := time.Now()
		p := spawn(t, args...)
		publicKey(t, p.client(""), "alias/rsa")
		t.Logf("%s: %v", when, time.Since(start).Round(time.Millisecond))
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
}
