package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// pair is a ring of multi-Region keys in us-east-1, where the primary keys are,
// and eu-west-1.
type pair struct {
	*testing.T
	regions [2]*kmstest.KMS
	first   string // the ID of its first key
}

// args are the flags for the pair, without a step.
var pairArgs = []string{"-alias", "alias/jwt", "-regions", "us-east-1,eu-west-1"}

func newPair(t *testing.T) *pair {
	t.Helper()
	fake := serve(t)
	p := &pair{T: t, regions: [2]*kmstest.KMS{fake, fake.Region("eu-west-1")}}
	if _, err := fake.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/jwt")}); err != nil {
		t.Fatal(err)
	}
	out, err := fake.CreateKey(t.Context(), &kms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.first = *out.KeyMetadata.KeyId
	if _, err := fake.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &p.first, ReplicaRegion: aws.String("eu-west-1")}); err != nil {
		t.Fatal(err)
	}
	for _, region := range p.regions {
		createAlias(t, region, "alias/jwt", p.first)
	}
	return p
}

// step takes a step by force, because nobody waits in this test.
func (p *pair) step(step keyring.Step, want ...string) {
	p.Helper()
	works(p.T, p.args(step), want...)
}

func (p *pair) args(step keyring.Step) []string {
	args := slices.Concat(pairArgs, []string{"-force", "-step", string(step)})
	if step == keyring.Revoke {
		args = append(args, "-key", p.first)
	}
	return args
}

// are says what the aliases of a Region name: A is the first key, B another,
// and - no key.
func (p *pair) are(region *kmstest.KMS) string {
	p.Helper()
	var names []string
	for _, name := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"} {
		out, err := region.DescribeKey(p.Context(), &kms.DescribeKeyInput{KeyId: &name})
		_, none := errors.AsType[*types.NotFoundException](err)
		switch {
		case none:
			names = append(names, "-")
		case err != nil:
			p.Fatal(err)
		case *out.KeyMetadata.KeyId == p.first:
			names = append(names, "A")
		default:
			names = append(names, "B")
		}
	}
	return strings.Join(names, "")
}

// alike checks what the aliases name in both Regions, and that the keys of the
// ring are in the same state there.
func (p *pair) alike(want string) {
	p.Helper()
	for i, region := range p.regions {
		if got := p.are(region); got != want {
			p.Errorf("in Region %d the aliases name %s, want %s", i, got, want)
		}
	}
	for i, id := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev", p.first} {
		if i < len(want) && want[i] == '-' {
			continue
		}
		a, b := keyOf(p.T, p.regions[0], id), keyOf(p.T, p.regions[1], id)
		if *a.KeyId != *b.KeyId || a.KeyState != b.KeyState {
			p.Errorf("%s is %s, %s, in one Region and %s, %s, in the other", id, *a.KeyId, a.KeyState, *b.KeyId, b.KeyState)
		}
	}
}

// keys is how many multi-Region keys there are in the first Region.
func (p *pair) keys() (n int) {
	p.Helper()
	list, err := p.regions[0].ListKeys(p.Context(), &kms.ListKeysInput{})
	if err != nil {
		p.Fatal(err)
	}
	for _, key := range list.Keys {
		if strings.HasPrefix(*key.KeyId, "mrk-") {
			n++
		}
	}
	return n
}

func TestRegions(t *testing.T) {
	p := newPair(t)
	works(t, pairArgs, "The ring is at rest.\nThe next step is prepare, now or at any time.\n")
	p.step(keyring.Prepare, "create a key of spec ECC_NIST_P256\n", "replicate mrk-", " to eu-west-1\n",
		"point alias/jwt-next to arn:aws:kms:us-east-1:", "point alias/jwt-next to arn:aws:kms:eu-west-1:")
	p.alike("ABA")
	works(t, pairArgs, "The ring is prepared.\nThe next step is promote, in 11m")
	fails(t, "too early: the verifiers do not all have the next key yet", 1, append(slices.Clone(pairArgs), "-step", "promote")...)
	p.step(keyring.Promote, "point alias/jwt to arn:aws:kms:us-east-1:", "point alias/jwt to arn:aws:kms:eu-west-1:")
	p.alike("BBA")
	p.step(keyring.Rollback, "point alias/jwt to arn:aws:kms:us-east-1:", "point alias/jwt to arn:aws:kms:eu-west-1:")
	p.alike("ABA")
	works(t, pairArgs, "The ring is rolled back.\n")
	p.step(keyring.Retire, "disable arn:aws:kms:us-east-1:", "disable arn:aws:kms:eu-west-1:")
	p.alike("AAA")
	p.step(keyring.Revoke, "mark the key as revoked", "disable arn:aws:kms:us-east-1:", "disable arn:aws:kms:eu-west-1:")
	p.alike("BBB")
	p.step(keyring.Revoke, "nothing to do for revoke\n")

	named := slices.Concat([]string{"-alias", "arn:aws:kms:us-east-1:111122223333:alias/jwt"}, pairArgs[2:])
	works(t, named, "The ring is at rest.")
	works(t, append(named, "-step", "prepare", "-spec", "RSA_2048", "-force"), "create a key of spec RSA_2048\n", "replicate mrk-")
}

// A step that is killed before any of its changes, in either Region, is
// finished by taking it again.
func TestKilledInRegions(t *testing.T) {
	for _, tt := range []struct {
		before []keyring.Step
		step   keyring.Step
		want   string // what the aliases name in the end
	}{
		{nil, keyring.Prepare, "ABA"},
		{[]keyring.Step{keyring.Prepare}, keyring.Promote, "BBA"},
		{[]keyring.Step{keyring.Prepare, keyring.Promote}, keyring.Rollback, "ABA"},
		{[]keyring.Step{keyring.Prepare, keyring.Promote}, keyring.Retire, "BBB"},
		{[]keyring.Step{keyring.Prepare}, keyring.Revoke, "BBB"},
	} {
		t.Run(string(tt.step), func(t *testing.T) {
			kills, differ := 0, 0
			for region := range 2 {
				for _, operation := range killedAt {
					for n := 1; ; n++ {
						p := newPair(t)
						for _, step := range tt.before {
							p.step(step)
						}
						if !kill(t, p.regions[region], operation, n, p.args(tt.step)...) {
							break
						}
						kills++
						// An alias that is missing counts as naming the signing
						// key.
						if a, b := p.are(p.regions[0]), p.are(p.regions[1]); strings.ReplaceAll(a, "-", a[:1]) != strings.ReplaceAll(b, "-", b[:1]) {
							differ++
							works(t, pairArgs, "Odd:\n")
						}
						p.step(tt.step)
						p.alike(tt.want)
						// Only between making a key and noting it is one lost.
						lost := tt.step == keyring.Prepare && region == 0 && operation == "UpdateAlias" && n == 1
						if keys := p.keys(); keys != 2 && !(lost && keys == 3) {
							t.Errorf("killed at call %d of %s in Region %d: there are %d keys, want 2", n, operation, region, keys)
						}
						p.step(tt.step, "nothing to do for "+string(tt.step)+"\n")
					}
				}
			}
			if kills < 2 || differ == 0 {
				t.Errorf("killed %d times, and left the Regions different %d times", kills, differ)
			}
		})
	}
}

// A Region that lacks a step keeps the others from going on, and status says
// so.
func TestRegionBehind(t *testing.T) {
	p := newPair(t)
	p.step(keyring.Prepare)

	// A key that cannot sign in one Region is promoted in neither.
	next := keyOf(t, p.regions[0], "alias/jwt-next").KeyId
	if _, err := p.regions[1].DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: next}); err != nil {
		t.Fatal(err)
	}
	works(t, pairArgs, "Odd:\n- eu-west-1: alias/jwt-next names a key that is Disabled\n")
	fails(t, "eu-west-1: ", 1, p.args(keyring.Promote)...)
	if _, err := p.regions[1].EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: next}); err != nil {
		t.Fatal(err)
	}

	if !kill(t, p.regions[1], "UpdateAlias", 1, p.args(keyring.Promote)...) {
		t.Fatal("it was not killed")
	}
	if first, second := p.are(p.regions[0]), p.are(p.regions[1]); first != "BBA" || second != "ABA" {
		t.Fatalf("the aliases name %s and %s, want BBA and ABA", first, second)
	}
	works(t, pairArgs, "The next step is promote", "Odd:\n", "us-east-1: promoted, eu-west-1: prepared")
	for _, step := range []keyring.Step{keyring.Prepare, keyring.Retire} {
		fails(t, "the Regions differ (us-east-1: promoted, eu-west-1: prepared): promote first", 1, p.args(step)...)
	}
	p.step(keyring.Promote, "point alias/jwt to arn:aws:kms:eu-west-1:")
	p.alike("BBA")
}

// With a Region that does not answer, nothing is changed, except by a
// revocation, which is taken again when the Region is back.
func TestRegionAway(t *testing.T) {
	for away, name := range []string{"us-east-1", "eu-west-1"} {
		for _, standby := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/standby=%v", name, standby), func(t *testing.T) {
				p := newPair(t)
				before, after := "A--", "BB-"
				if standby {
					p.step(keyring.Prepare)
					before, after = "ABA", "BBB"
				}
				heal := p.regions[away].Inject(kmstest.Match{}, kmstest.Respond(503, ""))
				fails(t, name+": ", 1, p.args(keyring.Prepare)...)
				fails(t, name+": ", 1, p.args(keyring.Promote)...)
				works(t, pairArgs, "No step is next.\n", "Odd:\n", name+": ")
				status, stdout, stderr := invoke(t, p.args(keyring.Revoke)...)
				if status != 1 || !strings.Contains(stdout, "mark the key as revoked") || !strings.Contains(stderr, name+": ") {
					t.Errorf("status %d, standard output %q, standard error %q; want the other Region done and this one named", status, stdout, stderr)
				}
				heal()
				if got := p.are(p.regions[1-away]); got != after {
					t.Errorf("in the Region that answered, the aliases name %s, want %s", got, after)
				}
				if got := p.are(p.regions[away]); got != before {
					t.Errorf("in the Region that was away, the aliases name %s, want %s", got, before)
				}
				p.step(keyring.Revoke, "mark the key as revoked")
				p.alike(after)
				works(t, pairArgs, "The ring is at rest.\n")
			})
		}
	}
}
