package service_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func (f *fixture) scrape() string {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// states returns the state of each published key in the metrics, by kid.
func (f *fixture) states(t *testing.T) map[string]string {
	t.Helper()
	states := map[string]string{}
	line := regexp.MustCompile(`(?m)^tokenservice_key_first_seen_timestamp_seconds\{kid="(.*)",alg=".*",state="(.*)"\} `)
	for _, match := range line.FindAllStringSubmatch(f.scrape(), -1) {
		states[match[1]] = match[2]
	}
	return states
}

// stamp is how /metrics shows a time.
func stamp(t time.Time) string { return fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000) }

// The metrics follow the keys through a rotation, and forget the old key.
func TestKeyMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, types.KeySpecEccNistP256)
		refresh := func() {
			t.Helper()
			if err := f.ring.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		rotate := func(step keyring.Step) {
			t.Helper()
			if _, err := keyring.Rotate(t.Context(), f.fake, "alias/jwt", step); err != nil {
				t.Fatal(err)
			}
			refresh()
		}
		firstSeen := func(kid, state string) string {
			return fmt.Sprintf(`key_first_seen_timestamp_seconds{kid="%s",alg="ES256",state="%s"}`, kid, state)
		}
		start, a := time.Now(), f.ring.Current().KID
		f.wantMetric(t, "published_keys", "1")
		f.wantMetric(t, firstSeen(a, "signing"), stamp(start))
		f.wantMetric(t, "signing_key_start_timestamp_seconds", stamp(start))
		f.wantMetric(t, "last_refresh_timestamp_seconds", stamp(start))

		time.Sleep(10 * time.Minute)
		rotate(keyring.Prepare)
		prepared := time.Now()
		var b string
		for _, key := range f.ring.Keys() {
			if key.KID != a {
				b = key.KID
			}
		}
		f.wantMetric(t, "published_keys", "2")
		f.wantMetric(t, firstSeen(a, "signing"), stamp(start))
		f.wantMetric(t, firstSeen(b, "published"), stamp(prepared))
		f.wantMetric(t, "last_refresh_timestamp_seconds", stamp(prepared))

		time.Sleep(12 * time.Minute)
		rotate(keyring.Promote)
		promoted := time.Now()
		f.wantMetric(t, firstSeen(a, "published"), stamp(start))
		f.wantMetric(t, firstSeen(b, "signing"), stamp(prepared))
		f.wantMetric(t, "signing_key_start_timestamp_seconds", stamp(promoted))
		f.wantMetric(t, `signing_key_changes_total{propagated="true"}`, "1")
		f.wantMetric(t, `signing_key_changes_total{propagated="false"}`, "0")
		f.wantMetric(t, `signing_key_changes_total{propagated="unknown"}`, "0")

		// A refresh that fails leaves the time of the last successful one.
		remove := f.fake.Inject(kmstest.Match{Operation: "GetPublicKey"}, kmstest.Throttle())
		time.Sleep(time.Minute)
		if err := f.ring.Refresh(t.Context()); err == nil {
			t.Error("a refresh without KMS succeeds")
		}
		f.wantMetric(t, "last_refresh_timestamp_seconds", stamp(promoted))
		remove()

		for range 20 { // the hold time, with refreshes
			time.Sleep(5 * time.Minute)
			refresh()
		}
		rotate(keyring.Retire)
		for range 20 {
			time.Sleep(5 * time.Minute)
			refresh()
		}
		if got := f.scrape(); strings.Contains(got, a) {
			t.Errorf("the key %s has left, and the metrics have it:\n%s", a, got)
		}
		if states := f.states(t); len(states) != 1 || states[b] != "signing" {
			t.Errorf("the states are %v, want %s signing", states, b)
		}
	})
}

// A change to a key that verifiers may not have is told from one that had time
// to propagate.
func TestKeyMetricsEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			atStart bool
			wait    time.Duration
			want    string
		}{
			{false, time.Minute, "false"},
			{false, 6 * time.Minute, "true"},
			{true, time.Minute, "unknown"},
			{true, 6 * time.Minute, "true"},
		} {
			fake := kmstest.New()
			next := func() {
				_, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{
					AliasName: aws.String("alias/jwt-next"), TargetKeyId: aws.String(fake.AddKey(types.KeySpecEccNistP256)),
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if tt.atStart {
				next()
			}
			f := newFixtureOn(t, fake, fake, types.KeySpecEccNistP256)
			if !tt.atStart {
				time.Sleep(time.Minute)
				next()
				if err := f.ring.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(tt.wait)
			old := f.ring.Current().KeyARN
			if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &old}); err != nil {
				t.Fatal(err)
			}
			f.token(t, alice)
			for _, label := range []string{"true", "false", "unknown"} {
				want := "0"
				if label == tt.want {
					want = "1"
				}
				f.wantMetric(t, fmt.Sprintf(`signing_key_changes_total{propagated="%s"}`, label), want)
			}
		}
	})
}

// If every key is revoked, the metrics do not have a signing key.
func TestKeyMetricsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, types.KeySpecEccNistP256)
		arn := f.ring.Current().KeyARN
		id := arn[strings.LastIndex(arn, "/")+1:]
		_, err := f.fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/jwt-revoked-" + id), TargetKeyId: &id})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.ring.Refresh(t.Context()); err != nil {
			t.Log(err)
		}
		f.wantMetric(t, "published_keys", "0")
		if got := f.scrape(); strings.Contains(got, "kid=") {
			t.Errorf("the metrics have a key:\n%s", got)
		}
	})
}

// Every metric that the alerts in the page use is in /metrics, with the label
// that they select.
func TestAlerts(t *testing.T) {
	page, err := os.ReadFile("../../../docs/rotation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "## Metrics and alerts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	used := regexp.MustCompile(`(tokenservice_\w+)(?:\{(\w+)=~?"(\w+))?`).FindAllStringSubmatch(section, -1)
	if !found || len(used) == 0 {
		t.Fatal("the page has no alerts")
	}
	f := newFixture(t, types.KeySpecEccNistP256)
	if _, err := keyring.Rotate(t.Context(), f.fake, "alias/jwt", keyring.Prepare); err != nil {
		t.Fatal(err)
	}
	if err := f.ring.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	metrics := f.scrape() // with a key that signs and one that does not
	for _, use := range used {
		there := false
		for line := range strings.Lines(metrics) {
			there = there || regexp.MustCompile("^"+use[1]+"[ {]").MatchString(line) && (use[2] == "" || strings.Contains(line, use[2]+`="`+use[3]+`"`))
		}
		if !there {
			t.Errorf("docs/rotation.md has %s, which /metrics lacks", use[0])
		}
	}
}
