package keyring_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// twoRegions is a ring of multi-Region keys in Virginia and Ireland.
type twoRegions struct {
	t                 *testing.T
	virginia, ireland *kmstest.KMS
	key               string // the ID of the first key
}

func newTwoRegions(t *testing.T) *twoRegions {
	t.Helper()
	r := &twoRegions{t: t, virginia: kmstest.New()}
	r.ireland = r.virginia.Region("eu-west-1")
	r.key = r.newKey(true)
	r.point("alias/jwt", r.key, r.virginia, r.ireland)
	return r
}

// newKey makes a multi-Region key, with a replica in Ireland or without.
func (r *twoRegions) newKey(replica bool) string {
	r.t.Helper()
	out, err := r.virginia.CreateKey(r.t.Context(), &kms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true),
	})
	if err == nil && replica {
		_, err = r.virginia.ReplicateKey(r.t.Context(), &kms.ReplicateKeyInput{KeyId: out.KeyMetadata.KeyId, ReplicaRegion: aws.String("eu-west-1")})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

// point makes an alias name a key.
func (r *twoRegions) point(alias, key string, where ...*kmstest.KMS) {
	r.t.Helper()
	for _, region := range where {
		_, err := region.UpdateAlias(r.t.Context(), &kms.UpdateAliasInput{AliasName: &alias, TargetKeyId: &key})
		if _, absent := errors.AsType[*types.NotFoundException](err); absent {
			_, err = region.CreateAlias(r.t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key})
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// step takes a step in both Regions.
func (r *twoRegions) step(step keyring.Step, optFns ...func(*keyring.RotateOptions)) ([]string, error) {
	return keyring.Rotate(r.t.Context(), r.virginia, "alias/jwt", step, append(optFns, r.both)...)
}

func (r *twoRegions) both(o *keyring.RotateOptions) { o.Regions = []keyring.AdminClient{r.ireland} }

func (r *twoRegions) must(step keyring.Step, optFns ...func(*keyring.RotateOptions)) {
	r.t.Helper()
	if _, err := r.step(step, optFns...); err != nil {
		r.t.Fatal(err)
	}
}

// refused reports whether a step fails with all of the words and changes
// nothing.
func (r *twoRegions) refused(step keyring.Step, words ...string) {
	r.t.Helper()
	before := r.state()
	done, err := r.step(step)
	if err == nil || len(done) > 0 {
		r.t.Fatalf("%s: done %q, %v, want an error and no change", step, done, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			r.t.Errorf("%s: %v, want %q in it", step, err, word)
		}
	}
	if after := r.state(); after != before {
		r.t.Errorf("%s was refused and made %s of %s", step, after, before)
	}
}

// state has the key IDs and key states behind the three aliases in each Region.
func (r *twoRegions) state() string {
	var b strings.Builder
	for _, region := range []*kmstest.KMS{r.virginia, r.ireland} {
		for _, alias := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"} {
			out, err := region.DescribeKey(context.Background(), &kms.DescribeKeyInput{KeyId: &alias})
			if err != nil {
				b.WriteString("- ")
				continue
			}
			b.WriteString(*out.KeyMetadata.KeyId + " " + string(out.KeyMetadata.KeyState) + " ")
		}
		b.WriteString("| ")
	}
	return b.String()
}

// keyOf is the ID of the key behind an alias in a Region.
func (r *twoRegions) keyOf(region *kmstest.KMS, alias string) string {
	r.t.Helper()
	out, err := region.DescribeKey(r.t.Context(), &kms.DescribeKeyInput{KeyId: &alias})
	if err != nil {
		r.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

// alike checks that the aliases name the same keys in both Regions.
func (r *twoRegions) alike() {
	r.t.Helper()
	if s := r.state(); s != strings.Repeat(s[:strings.Index(s, "| ")+2], 2) {
		r.t.Errorf("the Regions differ: %s", s)
	}
}

// A rotation in two Regions. The issuer and its verifier go on while Virginia
// is not available.
func TestRegionsStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTwoRegions(t)
		client, err := multiregion.New([]multiregion.Region{{Name: "us-east-1", Client: r.virginia}, {Name: "eu-west-1", Client: r.ireland}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		ring, err := keyring.New(t.Context(), client, "alias/jwt")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			ring.Run(ctx)
		}()
		defer func() { stop(); <-ended }()
		tokens := map[string]string{}
		// sleep signs a token each minute. All tokens that live verify with the
		// keys that are served.
		sleep := func(d time.Duration) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Minute) {
				compact, err := ring.Sign(t.Context(), jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix()})
				if err != nil {
					t.Fatal(err)
				}
				tokens[compact] = ring.Current().KeyARN
				w := httptest.NewRecorder()
				ring.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				served := w.Body.String()
				for compact := range tokens {
					token, err := jwt.Parse(compact, ring.Keyfunc)
					if errors.Is(err, jwt.ErrTokenExpired) {
						delete(tokens, compact)
					} else if err != nil || !strings.Contains(served, token.Header["kid"].(string)) {
						t.Fatalf("a token of %s fails: %v", tokens[compact], err)
					}
				}
			}
		}

		r.must(keyring.Prepare)
		r.alike()
		next := r.keyOf(r.ireland, "alias/jwt-next")
		r.refused(keyring.Promote, "too early", "us-east-1")
		sleep(12 * time.Minute)

		revive := r.virginia.Inject(kmstest.Match{}, kmstest.Respond(403, "<html>"))
		r.refused(keyring.Promote, "Region 1", "cannot be read")
		sleep(20 * time.Minute)
		revive()

		r.must(keyring.Promote)
		r.alike()
		sleep(6 * time.Minute)
		if got := ring.Current().KeyARN; !strings.HasSuffix(got, next) {
			t.Errorf("signs with %s, want %s", got, next)
		}
		r.refused(keyring.Retire, "too early")
		sleep(time.Hour)
		r.must(keyring.Retire)
		r.alike()
		for _, region := range []*kmstest.KMS{r.virginia, r.ireland} {
			out, err := region.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &r.key})
			if err != nil || out.KeyMetadata.KeyState != types.KeyStateDisabled {
				t.Errorf("the old key: %v, %v, want it disabled in both Regions", out, err)
			}
		}
		sleep(2 * time.Hour)
		if n := len(ring.Keys()); n != 1 {
			t.Errorf("%d keys are published at the end, want 1", n)
		}
	})
}

// TestRegionBehind has each step find a Region in which the step before was not
// taken. It is refused, names both Regions and the step that is missing, and
// that step finishes it.
func TestRegionBehind(t *testing.T) {
	for _, test := range []struct {
		name    string
		arrange func(r *twoRegions)
		refused keyring.Step
		missing keyring.Step
	}{
		{"promote: the next alias was moved in Virginia only", func(r *twoRegions) {
			r.point("alias/jwt-next", r.newKey(true), r.virginia)
		}, keyring.Promote, keyring.Prepare},
		{"promote: the next key has no replica", func(r *twoRegions) {
			r.point("alias/jwt-next", r.newKey(false), r.virginia)
		}, keyring.Promote, keyring.Prepare},
		{"retire: the signing alias was moved in Ireland only", func(r *twoRegions) {
			key := r.newKey(true)
			r.point("alias/jwt-next", key, r.virginia, r.ireland)
			time.Sleep(time.Hour)
			r.point("alias/jwt", key, r.ireland)
		}, keyring.Retire, keyring.Promote},
		{"prepare: the previous key was retired in Ireland only", func(r *twoRegions) {
			key := r.newKey(true)
			r.point("alias/jwt-next", key, r.virginia, r.ireland)
			time.Sleep(time.Hour)
			r.point("alias/jwt", key, r.virginia, r.ireland)
			time.Sleep(2 * time.Hour)
			r.point("alias/jwt-prev", key, r.ireland)
		}, keyring.Prepare, keyring.Retire},
		{"retire: rolled back in Virginia only", func(r *twoRegions) {
			key := r.newKey(true)
			r.point("alias/jwt-next", key, r.virginia, r.ireland)
			time.Sleep(time.Hour)
			r.point("alias/jwt", key, r.virginia, r.ireland)
			time.Sleep(20 * time.Minute)
			r.point("alias/jwt", r.key, r.virginia)
		}, keyring.Retire, keyring.Rollback},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTwoRegions(t)
				r.point("alias/jwt-next", r.key, r.virginia, r.ireland)
				r.point("alias/jwt-prev", r.key, r.virginia, r.ireland)
				time.Sleep(24 * time.Hour)
				test.arrange(r)
				time.Sleep(3 * time.Minute)
				r.refused(test.refused, "us-east-1: ", "eu-west-1: ", string(test.missing)+" first")
				status, err := keyring.Inspect(t.Context(), r.virginia, "alias/jwt", r.both)
				if err != nil || status.Step != test.missing || len(status.Odd) == 0 {
					t.Errorf("Inspect says %+v, %v, want the step %s and something odd", status, err, test.missing)
				}
				r.must(keyring.Advance)
				r.alike()
				if status, err = keyring.Inspect(t.Context(), r.virginia, "alias/jwt", r.both); err != nil || strings.Contains(strings.Join(status.Odd, ""), "differ") {
					t.Errorf("at the end Inspect says %+v, %v", status, err)
				}
			})
		})
	}
}

// TestRegionsDates checks that a step waits for the Region that was last.
func TestRegionsDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTwoRegions(t)
		time.Sleep(24 * time.Hour)
		key := r.newKey(true)
		r.point("alias/jwt-prev", r.key, r.virginia, r.ireland)
		r.point("alias/jwt-next", key, r.virginia)
		time.Sleep(8 * time.Minute)
		r.point("alias/jwt-next", key, r.ireland)
		time.Sleep(4 * time.Minute)
		r.refused(keyring.Promote, "too early", "wait 7m")
		time.Sleep(7*time.Minute + 2*time.Second)
		r.must(keyring.Promote)

		r.alike()
	})
}

// slowReplica is a client whose replicas are Creating for a while.
type slowReplica struct {
	*kmstest.KMS
	creating map[string]bool
}

func (s slowReplica) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, optFns ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	out, err := s.KMS.DescribeKey(ctx, in, optFns...)
	if err == nil && s.creating["all"] && out.KeyMetadata.MultiRegionConfiguration.MultiRegionKeyType == types.MultiRegionKeyTypeReplica && !s.creating[*out.KeyMetadata.KeyId] {
		out.KeyMetadata.KeyState = types.KeyStateCreating
	}
	return out, err
}

// TestRegionsCreating takes Prepare while the replica is not ready. The same
// step goes on with the same key.
func TestRegionsCreating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTwoRegions(t)
		time.Sleep(24 * time.Hour)
		ireland := slowReplica{r.ireland, map[string]bool{"all": true, r.key: true}}
		prepare := func() ([]string, error) {
			return keyring.Rotate(t.Context(), r.virginia, "alias/jwt", keyring.Prepare, func(o *keyring.RotateOptions) {
				o.Regions = []keyring.AdminClient{ireland}
			})
		}
		done, err := prepare()
		if !errors.Is(err, keyring.ErrTooEarly) || !strings.Contains(err.Error(), "eu-west-1: ") || !strings.Contains(err.Error(), "is Creating") || len(done) == 0 {
			t.Fatalf("done %q, %v, want ErrTooEarly and what was done", done, err)
		}
		if !strings.Contains(r.state(), "- ") {
			t.Errorf("the next alias was made before the replica was ready: %s", r.state())
		}
		ireland.creating["all"] = false
		if _, err := prepare(); err != nil {
			t.Fatal(err)
		}
		r.alike()
		if n := r.virginia.Calls("CreateKey"); n != 2 {
			t.Errorf("%d keys were made, want the first and the next", n)
		}
		tags, err := r.ireland.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: aws.String(r.keyOf(r.ireland, "alias/jwt-next"))})
		if err != nil || len(tags.Tags) != 1 {
			t.Errorf("the replica has the tags %v, %v, want that of the ring", tags, err)
		}
	})
}

// TestRegionsRevoke revokes the signing key while Virginia does not answer, and
// again when it does.
func TestRegionsRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTwoRegions(t)
		time.Sleep(24 * time.Hour)
		r.must(keyring.Prepare)
		time.Sleep(time.Hour)
		standby := r.keyOf(r.ireland, "alias/jwt-next")

		revive := r.virginia.Inject(kmstest.Match{}, kmstest.Reset())
		revoke := func(o *keyring.RotateOptions) { o.Key = r.key }
		done, err := r.step(keyring.Revoke, revoke)
		if err == nil || !strings.Contains(err.Error(), "not revoked in all Regions") || len(done) == 0 {
			t.Fatalf("done %q, %v, want an error and changes in Ireland", done, err)
		}
		if got := r.keyOf(r.ireland, "alias/jwt"); got != standby {
			t.Errorf("in Ireland %s signs, want %s", got, standby)
		}
		revive()
		r.must(keyring.Advance) // a cron finishes it
		r.alike()
		if got := r.keyOf(r.virginia, "alias/jwt"); got != standby {
			t.Errorf("in Virginia %s signs, want %s", got, standby)
		}
		for _, region := range []*kmstest.KMS{r.virginia, r.ireland} {
			out, err := region.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &r.key})
			if err != nil || out.KeyMetadata.KeyState != types.KeyStateDisabled {
				t.Errorf("the revoked key: %v, %v, want it disabled", out, err)
			}
		}
		r.must(keyring.Revoke, revoke) // taken again, it does nothing
		r.alike()
	})
}

func TestRegionsDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTwoRegions(t)
		time.Sleep(24 * time.Hour)
		dry := func(o *keyring.RotateOptions) { o.DryRun = true }
		for _, step := range []keyring.Step{keyring.Prepare, keyring.Revoke} {
			before := r.state()
			would, err := r.step(step, dry, func(o *keyring.RotateOptions) { o.Key = r.key })
			if err != nil || r.state() != before {
				t.Errorf("%s: %v, made %s of %s", step, err, r.state(), before)
			}
			done, err := r.step(step, func(o *keyring.RotateOptions) { o.Key = r.key })
			if err != nil || len(done) != len(would) {
				t.Errorf("%s did %q, %v, said that it would do %q", step, done, err, would)
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// TestRegionsInput has what Rotate refuses before it changes anything.
func TestRegionsInput(t *testing.T) {
	r := newTwoRegions(t)
	single := kmstest.New(func(o *kmstest.Options) { o.Region = "eu-central-1" })
	key, alias := single.AddKey(types.KeySpecEccNistP256), "alias/jwt"
	if _, err := single.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		fn    func(*keyring.RotateOptions)
		words []string
	}{
		{"a nil client", func(o *keyring.RotateOptions) { o.Regions = []keyring.AdminClient{(*kms.Client)(nil)} }, []string{"Region 2", "nil"}},
		{"the same Region twice", func(o *keyring.RotateOptions) { o.Regions = []keyring.AdminClient{r.virginia} }, []string{"two clients", "us-east-1"}},
		{"a key of one Region", func(o *keyring.RotateOptions) { o.Regions = []keyring.AdminClient{single} }, []string{"multi-Region key", key}},
		{"NewKey for one Region", func(o *keyring.RotateOptions) { r.both(o); o.NewKey = &kms.CreateKeyInput{} }, []string{"NewKey", "MultiRegion"}},
	} {
		done, err := keyring.Rotate(t.Context(), r.virginia, alias, keyring.Prepare, test.fn)
		if err == nil || len(done) > 0 {
			t.Errorf("%s: done %q, %v, want an error", test.name, done, err)
			continue
		}
		for _, word := range test.words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want %q in it", test.name, err, word)
			}
		}
	}
	if n := r.virginia.Calls("CreateKey"); n != 1 {
		t.Errorf("%d keys were made", n)
	}
}
