package multiregion_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// A registry answers GetPublicKey with one kind of answer.
type registry struct {
	kmssigner.Client
	kind   *kind
	region string
	err    error
	calls  atomic.Int32
}

func (r *registry) GetPublicKey(ctx context.Context, _ *kms.GetPublicKeyInput, _ ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	r.calls.Add(1)
	select {
	case <-time.After(r.kind.delay):
	case <-ctx.Done():
		return nil, &aws.RequestCanceledError{Err: ctx.Err()}
	}
	if r.err != nil {
		return nil, r.err
	}
	out := &kms.GetPublicKeyOutput{
		KeyId:     aws.String("arn:aws:kms:" + r.region + ":111122223333:key/" + exploredID),
		PublicKey: []byte("the public key"),
	}
	switch {
	case r.kind.name == "200 without KeyId":
		out.KeyId = nil
	case r.kind.class == away:
		out = &kms.GetPublicKeyOutput{}
	case r.kind.name == "bad signature":
		out.PublicKey = []byte("another public key")
	case r.kind.class == lying:
		out.KeyId = aws.String("arn:aws:kms:" + r.region + ":111122223333:key/mrk-00000000000000000000000000000000")
	}
	return out, nil
}

// TestExplorerEverywhere explores what GetPublicKey does, which asks all
// Regions at the same time, for all pairs of kinds and for triples.
func TestExplorerEverywhere(t *testing.T) {
	var all, few []*kind
	for i := range kinds {
		all = append(all, &kinds[i])
		if i == 0 || kinds[i].class != kinds[i-1].class || kinds[i].class == lying {
			few = append(few, &kinds[i])
		}
	}
	results := map[string]map[*kind]result{}
	for _, region := range exploredRegions {
		results[region] = map[*kind]result{}
		for _, k := range all {
			results[region][k] = k.through(t, region)
		}
	}
	var cases [][]*kind
	triples := few
	if full() {
		triples = all
	}
	for _, a := range all {
		for _, b := range all {
			cases = append(cases, []*kind{a, b})
		}
	}
	for _, a := range triples {
		for _, b := range triples {
			for _, c := range triples {
				cases = append(cases, []*kind{a, b, c})
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, kinds := range cases {
			var regions []multiregion.Region
			var registries []*registry
			for i, k := range kinds {
				r := &registry{kind: k, region: exploredRegions[i], err: results[exploredRegions[i]][k].err}
				registries = append(registries, r)
				regions = append(regions, multiregion.Region{Name: r.region, Client: r})
			}
			c, err := multiregion.New(regions)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			began := time.Now()
			out, err := c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(exploredID)})
			took := time.Since(began)
			cancel()
			synctest.Wait()

			broken := func(law string) {
				t.Helper()
				var names []string
				for _, k := range kinds {
					names = append(names, k.name)
				}
				t.Errorf("%s: %s: got %v after %v, Down() is %q", strings.Join(names, ", "), law, err, took, c.Down())
			}
			is := func(classes ...class) func(*kind) bool {
				return func(k *kind) bool { return slices.Contains(classes, k.class) }
			}
			other := func(k *kind) bool { return k.name == "bad signature" }
			right := slices.ContainsFunc(kinds, is(well, lagging))
			switch apiErr, isAPIError := errors.AsType[smithy.APIError](err); {
			case slices.ContainsFunc(kinds, is(refusing)):
				if !isAPIError || apiErr.ErrorCode() == "UnknownError" {
					broken("a refusal is an error")
				}
			case right && slices.ContainsFunc(kinds, other):
				if !errors.Is(err, multiregion.ErrKeyMismatch) {
					broken("keys that differ are an error")
				}
			case right || slices.ContainsFunc(kinds, other):
				if err != nil || *out.KeyId != "arn:aws:kms:us-east-1:111122223333:key/"+exploredID {
					broken("one Region that is well is enough")
				}
			case err == nil:
				broken("no Region is well")
			}
			if took > 2*time.Second {
				broken("it takes AttemptTimeout at most")
			}
			for i, k := range kinds {
				if registries[i].calls.Load() != 1 {
					broken("each Region is asked once")
				}
				isDown := slices.Contains(c.Down(), exploredRegions[i])
				if isDown && is(well, lagging, refusing)(k) {
					broken("a Region that is well is not passed over")
				}
				if isDown != is(away, throttle, never, tardy)(k) && !slices.ContainsFunc(kinds, is(refusing)) && k.class != lying {
					broken("a Region that is not available is passed over")
				}
				if k.name == "other key" && isDown != (right || slices.ContainsFunc(kinds, other)) && !slices.ContainsFunc(kinds, is(refusing)) {
					broken("a Region that answers for another key is passed over if there is an answer for this one")
				}
			}
			if t.Failed() {
				return
			}
		}
	})
	t.Logf("%d cases", len(cases))
}
