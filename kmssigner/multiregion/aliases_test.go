package multiregion_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

var aliasFault = kmstest.Match{Operation: "ListAliases"}

// datesOf returns the LastUpdatedDate of each alias in an answer, and checks
// the rest.
func datesOf(t *testing.T, w *world, out *kms.ListAliasesOutput) map[string]time.Time {
	t.Helper()
	if out.Truncated || out.NextMarker != nil {
		t.Errorf("the answer is truncated: %v, %v", out.Truncated, out.NextMarker)
	}
	dates := map[string]time.Time{}
	for _, a := range out.Aliases {
		if _, ok := dates[*a.AliasName]; ok {
			t.Errorf("%s is there twice", *a.AliasName)
		}
		dates[*a.AliasName] = *a.LastUpdatedDate
		if want := strings.Replace(w.arn, "key/"+w.id, *a.AliasName, 1); *a.AliasArn != want || *a.TargetKeyId != w.id {
			t.Errorf("got %s for %s, want %s for %s", *a.AliasArn, *a.TargetKeyId, want, w.id)
		}
	}
	return dates
}

func list(t *testing.T, c *multiregion.Client, w *world) *kms.ListAliasesOutput {
	t.Helper()
	out, err := c.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: &w.arn})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func move(t *testing.T, k *kmstest.KMS, name, id string) {
	t.Helper()
	_, err := k.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: &id})
	if err != nil {
		t.Fatal(err)
	}
}

// since checks the date of an alias to the second, which is what KMS tells.
func since(t *testing.T, dates map[string]time.Time, name string, want time.Time) {
	t.Helper()
	if got, ok := dates[name]; !ok || got.Sub(want).Abs() > time.Second {
		t.Errorf("%s has named the key since %v, want %v", name, got, want)
	}
}

// TestListAliasesDates checks that the date of an alias is the time since when
// it has named the key everywhere.
func TestListAliasesDates(t *testing.T) {
	for _, first := range []string{regionA, regionB} {
		synctest.Test(t, func(t *testing.T) {
			w := ecWorld(t)
			c := w.client(t)
			other, _ := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
			one, two := w.a.Region(first), w.b
			if first == regionB {
				two = w.a
			}
			made := time.Now()
			since(t, datesOf(t, w, list(t, c, w)), alias, made)

			// The alias is moved away and back, in one Region after the other.
			time.Sleep(time.Hour)
			move(t, one, alias, other)
			move(t, two, alias, other)
			if dates := datesOf(t, w, list(t, c, w)); len(dates) != 0 {
				t.Errorf("an alias that names another key everywhere is in the answer: %v", dates)
			}
			time.Sleep(time.Hour)
			move(t, one, alias, w.id)
			time.Sleep(time.Minute)
			// It does not name the key everywhere yet.
			since(t, datesOf(t, w, list(t, c, w)), alias, time.Now())
			move(t, two, alias, w.id)
			moved := time.Now()
			time.Sleep(time.Hour)
			since(t, datesOf(t, w, list(t, c, w)), alias, moved) // the latest counts
		})
	}
}

// TestListAliasesUnion checks that an alias of one Region is in the answer. It
// may mark the key as revoked, and the other Region may have been away when it
// was made.
func TestListAliasesUnion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c := w.client(t)
		for name, k := range map[string]*kmstest.KMS{"alias/only-a": w.a, "alias/only-b": w.b} {
			if _, err := k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &w.id}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		dates := datesOf(t, w, list(t, c, w))
		if len(dates) != 3 {
			t.Errorf("got %v, want three aliases", dates)
		}
		since(t, dates, "alias/only-a", time.Now())
		since(t, dates, "alias/only-b", time.Now())
		since(t, dates, alias, time.Now().Add(-time.Hour))
	})
}

// TestListAliasesClock checks that the date of an alias that is not everywhere
// is by KMS's clock.
func TestListAliasesClock(t *testing.T) {
	w := ecWorld(t)
	w.alias(t, w.b, w.b.AddKey(types.KeySpecEccNistP256))
	w.a.Inject(aliasFault, kmstest.SkewDate(-time.Hour))
	w.b.Inject(aliasFault, kmstest.SkewDate(2*time.Hour))
	since(t, datesOf(t, w, list(t, w.client(t), w)), alias, time.Now().Add(2*time.Hour))
}

// TestListAliasesOutage checks that a Region that is not available is left out.
func TestListAliasesOutage(t *testing.T) {
	effects := foreignAnswers()
	for name, fault := range faults {
		effects[name] = fault.effects[0]
	}
	effects["endless"] = kmstest.Respond(200, `{"Aliases":[],"Truncated":true,"NextMarker":"more"}`)
	effects["no marker"] = kmstest.Respond(200, `{"Aliases":[],"Truncated":true}`)
	for name, effect := range effects {
		for _, dead := range []string{regionA, regionB} {
			synctest.Test(t, func(t *testing.T) {
				w := ecWorld(t)
				c := w.client(t)
				made := time.Now()
				w.a.Region(dead).Inject(aliasFault, effect)
				time.Sleep(time.Hour)
				began := time.Now()
				out := list(t, c, w)
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("%s: it took %v", name, took)
				}
				since(t, datesOf(t, w, out), alias, made)
				down(t, c, dead)
				calls := w.a.Region(dead).Calls("ListAliases")
				list(t, c, w)
				if w.a.Region(dead).Calls("ListAliases") != calls {
					t.Errorf("%s: a Region that is passed over was asked", name)
				}
			})
		}
	}
}

// TestListAliasesWrongAnswer checks that a Region that answers for another key
// is left out.
func TestListAliasesWrongAnswer(t *testing.T) {
	w := ecWorld(t)
	other, _ := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	inB := strings.Replace(strings.Replace(w.arn, regionA, regionB, 1), "key/"+w.id, alias, 1)
	answer := func(arn, name, target string) string {
		return fmt.Sprintf(`{"Aliases":[{"AliasArn":%q,"AliasName":%q,"TargetKeyId":%q,"LastUpdatedDate":1.7e9}]}`, arn, name, target)
	}
	for name, test := range map[string]struct {
		answer string
		down   bool
	}{
		"good":          {answer(inB, alias, w.id), false},
		"other key":     {answer(inB, alias, other), true},
		"other Region":  {answer(strings.Replace(inB, regionB, regionA, 1), alias, w.id), true},
		"other account": {answer(strings.Replace(inB, "111122223333", "444455556666", 1), alias, w.id), true},
		"other alias":   {answer(inB+"x", alias, w.id), true},
		"not an ARN":    {answer("x", alias, w.id), true},
		"no name":       {answer(inB, "", w.id), true},
	} {
		heal := w.b.Inject(aliasFault, kmstest.Respond(200, test.answer))
		c := w.client(t)
		if out := list(t, c, w); len(datesOf(t, w, out)) != 1 {
			t.Errorf("%s: got %d aliases, want 1", name, len(out.Aliases))
		}
		if isDown := len(c.Down()) > 0; isDown != test.down {
			t.Errorf("%s: Down() = %q", name, c.Down())
		}
		heal()
	}
}

func TestListAliasesRefusal(t *testing.T) {
	for _, region := range []string{regionA, regionB} {
		w := ecWorld(t)
		c := w.client(t)
		w.a.Region(region).Inject(aliasFault, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException"}))
		_, err := c.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: &w.arn})
		apiErr, ok := errors.AsType[smithy.APIError](err)
		if !ok || apiErr.ErrorCode() != "AccessDeniedException" || !strings.Contains(err.Error(), region) {
			t.Errorf("got %v, want the refusal of %s", err, region)
		}
		down(t, c)
	}
	// One Region, or none, has the key.
	for _, missing := range [][]string{{regionA}, {regionB}, {regionA, regionB}} {
		w := ecWorld(t)
		for _, region := range missing {
			w.a.Region(region).Inject(aliasFault, kmstest.Fail(&types.NotFoundException{}))
		}
		c := w.client(t)
		out, err := c.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: &w.arn})
		if len(missing) == 2 {
			if _, ok := errors.AsType[*types.NotFoundException](err); !ok || !strings.Contains(err.Error(), regionA) {
				t.Errorf("no Region has the key: got %v, want NotFoundException and the Regions", err)
			}
		} else if err != nil || len(out.Aliases) == 0 || time.Since(*out.Aliases[0].LastUpdatedDate) > time.Minute {
			t.Errorf("%q has no replica: got %v, %v, want the aliases of the other Region, as moved now", missing, out, err)
		}
		down(t, c)
	}
	// All are away.
	w := ecWorld(t)
	w.a.Inject(aliasFault, kmstest.Reset())
	w.b.Inject(aliasFault, kmstest.Respond(403, ""))
	_, err := w.client(t).ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: &w.arn})
	if err == nil || !strings.Contains(err.Error(), regionA) || !strings.Contains(err.Error(), regionB) {
		t.Errorf("got %v, want both Regions", err)
	}
}

// TestListAliasesPages checks that all pages are read and the caller sees one.
func TestListAliasesPages(t *testing.T) {
	w := ecWorld(t)
	want := []string{alias}
	for i := range 9 {
		name := fmt.Sprintf("alias/more-%d", i)
		want = append(want, name)
		for _, k := range []*kmstest.KMS{w.a, w.b} {
			if _, err := k.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &w.id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(want)
	c := w.client(t)
	for limit, calls := range map[int32]int{0: 1, 3: 4, 5: 2, 10: 1} {
		before := w.a.Calls("ListAliases")
		in := &kms.ListAliasesInput{KeyId: aws.String(w.id)}
		if limit > 0 {
			in.Limit = aws.Int32(limit)
		}
		var names []string
		for pages := kms.NewListAliasesPaginator(c, in); pages.HasMorePages(); {
			out, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range out.Aliases {
				names = append(names, *a.AliasName)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, want) {
			t.Errorf("limit %d: got %q, want %q", limit, names, want)
		}
		if got := w.a.Calls("ListAliases") - before; got != calls {
			t.Errorf("limit %d: %d calls, want %d", limit, got, calls)
		}
		if in.Marker != nil || *in.KeyId != w.id {
			t.Errorf("limit %d: the input was changed", limit)
		}
	}
}

func TestListAliasesInput(t *testing.T) {
	w := ecWorld(t)
	c := w.client(t)
	for name, in := range map[string]*kms.ListAliasesInput{
		"nil":              nil,
		"no key":           {},
		"an alias":         {KeyId: aws.String(alias)},
		"a marker":         {KeyId: &w.arn, Marker: aws.String("x")},
		"not multi-Region": {KeyId: aws.String("1234abcd-12ab-34cd-56ef-1234567890ab")},
	} {
		_, err := c.ListAliases(t.Context(), in)
		if err == nil || w.a.Calls("ListAliases")+w.b.Calls("ListAliases") != 0 {
			t.Errorf("%s: got %v, want an error and no call", name, err)
		}
		if name == "not multi-Region" && !errors.Is(err, kmssigner.ErrUnsupportedKey) {
			t.Errorf("%s: got %v, want ErrUnsupportedKey", name, err)
		}
	}
	type only struct{ kmssigner.Client }
	signing, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: only{w.a}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signing.ListAliases(context.Background(), &kms.ListAliasesInput{KeyId: &w.arn}); err == nil || !strings.Contains(err.Error(), "has no ListAliases") {
		t.Errorf("got %v, want a word on ListAliases", err)
	}
}
