package keyring_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// The story of a rotation with the default times: an issuer looks at the
// aliases every five minutes, verifiers may cache keys for five minutes, tokens
// live for up to an hour. Two issuers sign, and two verifiers check what they
// have signed: Eager fetches the keys whenever it may, Lazy only when it must.
// Neither asks again for a kid that it does not know.
func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory(t)
		defer s.end()

		s.tell("A day after the key was made, all is at rest.")
		s.sleep(24 * time.Hour)
		s.is("jwt A, next -, prev -", "both sign with A and serve A", "Eager has A", "Lazy has A")

		s.tell("The operator prepares the next key. Nobody signs with it.")
		s.step(keyring.Prepare)
		s.is("jwt A, next B, prev A", "both sign with A and serve A", "Eager has A", "Lazy has A")

		s.tell("Within five minutes the issuers have seen the alias, and serve both keys.")
		s.sleep(5 * time.Minute)
		s.is("jwt A, next B, prev A", "both sign with A and serve AB", "Eager has AB", "Lazy has A")

		s.tell("To promote it now would fail tokens at Lazy, which may keep its keys for")
		s.tell("another few minutes. Rotate refuses.")
		s.tooEarly(keyring.Promote)

		s.tell("After eleven minutes the last verifier has both keys.")
		s.sleep(6*time.Minute + time.Second)
		s.is("jwt A, next B, prev A", "both sign with A and serve AB", "Eager has AB", "Lazy has AB")

		s.tell("The operator promotes the key, and at their next refresh the issuers sign")
		s.tell("with it. The last token of the old key was signed just before.")
		last := s.token()
		s.step(keyring.Promote)
		s.is("jwt B, next B, prev A", "both sign with A and serve AB", "Eager has AB", "Lazy has AB")
		s.sleep(5 * time.Minute)
		s.is("jwt B, next B, prev A", "both sign with B and serve AB", "Eager has AB", "Lazy has AB")

		s.tell("An issuer that starts now signs with the new key and serves both.")
		s.restart()
		s.is("jwt B, next B, prev A", "both sign with B and serve AB", "Eager has AB", "Lazy has AB")

		s.tell("Until that token has expired, the old key is served and cannot be retired.")
		s.sleep(50 * time.Minute)
		s.verify("the last token of the old key", last)
		s.tooEarly(keyring.Retire)

		s.tell("An hour and six minutes after the promotion nobody has a token of it, and")
		s.tell("the operator retires it.")
		s.sleep(12 * time.Minute)
		s.step(keyring.Retire)
		s.is("jwt B, next B, prev B", "both sign with B and serve AB", "Eager has AB", "Lazy has AB")

		s.tell("The issuers go on serving it for the hold time, though nobody needs it.")
		s.sleep(80 * time.Minute)
		s.is("jwt B, next B, prev B", "both sign with B and serve B", "Eager has B", "Lazy has B")
	})
}

// The story of a new key that turns out bad, and of one that was stolen.
func TestStoryOfTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory(t)
		defer s.end()
		s.sleep(24 * time.Hour)
		s.step(keyring.Prepare)
		s.sleep(11*time.Minute + time.Second)
		s.step(keyring.Promote)
		s.sleep(10 * time.Minute)
		s.is("jwt B, next B, prev A", "both sign with B and serve AB", "Eager has AB", "Lazy has AB")

		s.tell("A customer cannot use tokens of the new key. The operator goes back to the")
		s.tell("old one. Tokens of the new one go on being valid.")
		b := s.token()
		s.step(keyring.Rollback)
		s.sleep(5 * time.Minute)
		s.is("jwt A, next B, prev A", "both sign with A and serve AB", "Eager has AB", "Lazy has AB")
		s.sleep(50 * time.Minute)
		s.verify("a token of the key that was rolled back", b)

		s.tell("Nobody promotes it by mistake. When its tokens have expired it is retired.")
		s.refused(keyring.Promote, "it was rolled back")
		s.sleep(20 * time.Minute)
		s.step(keyring.Retire)
		s.sleep(80 * time.Minute)
		s.is("jwt A, next A, prev A", "both sign with A and serve A", "Eager has A", "Lazy has A")

		s.tell("Another key is prepared and kept, for the day on which the key is stolen.")
		s.step(keyring.Prepare)
		s.sleep(24 * time.Hour)
		s.is("jwt A, next C, prev A", "both sign with A and serve AC", "Eager has AC", "Lazy has AC")

		s.tell("That day comes. Within five minutes no issuer serves the key, and five")
		s.tell("minutes later no verifier has it. Tokens of the other one fail nowhere.")
		s.revoke("A")
		s.sleep(5 * time.Minute)
		s.is("jwt C, next C, prev C", "both sign with C and serve C", "Eager has C", "Lazy has AC")
		s.sleep(5 * time.Minute)
		s.is("jwt C, next C, prev C", "both sign with C and serve C", "Eager has C", "Lazy has C")
	})
}

// A story has two issuers, two verifiers and an operator.
type story struct {
	*testing.T
	*observer
	chapter     []string
	issuers     [2]*keyring.Ring
	stop        [2]context.CancelFunc
	running     sync.WaitGroup
	eager, lazy map[string]string // kid to letter
	fetched     time.Time         // by Lazy
	letters     map[string]string // by kid
}

func newStory(t *testing.T) *story {
	s := &story{T: t, observer: &observer{fake: kmstest.New()}, letters: map[string]string{}}
	key := s.fake.AddKey(types.KeySpecEccNistP256)
	createAlias(t, s.fake, "alias/jwt", key)
	s.letter(key)
	for i := range s.issuers {
		s.start(i)
	}
	time.Sleep(20 * time.Second)
	s.visit()
	return s
}

func (s *story) start(i int) {
	time.Sleep(40 * time.Second) // so that nobody refreshes at the time of a step
	ring := mustNew(s.T, s.fake)
	ring.NoJitter()
	ctx, cancel := context.WithCancel(s.Context())
	s.issuers[i], s.stop[i] = ring, cancel
	s.running.Go(func() { ring.Run(ctx) })
}

func (s *story) restart() { s.stop[0](); s.start(0) }

func (s *story) end() {
	for _, stop := range s.stop {
		stop()
	}
	s.running.Wait()
}

func (s *story) tell(line string) { s.chapter = append(s.chapter, line) }

func (s *story) wrong(format string, args ...any) {
	s.Helper()
	s.Errorf("%s\n"+format, append([]any{strings.Join(s.chapter, "\n")}, args...)...)
}

// sleep lets time pass, in which tokens are signed and checked every thirty
// seconds.
func (s *story) sleep(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(30*time.Second, time.Until(end)))
		if time.Until(end) < 20*time.Minute {
			s.visit()
			s.verify("a token", s.token())
		}
	}
}

// visit has the verifiers fetch keys if they may.
func (s *story) visit() {
	fetch := func(issuer *keyring.Ring) map[string]string {
		w := httptest.NewRecorder()
		issuer.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		var set jwtkms.JWKSet
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
			s.Fatal(err)
		}
		keys := map[string]string{}
		for _, key := range set.Keys {
			keys[key.Kid] = ""
		}
		return keys
	}
	s.eager = fetch(s.issuers[0])
	if time.Since(s.fetched) >= 5*time.Minute {
		s.lazy, s.fetched = fetch(s.issuers[1]), time.Now()
	}
}

func (s *story) token() string { return mustSign(s.T, s.issuers[1], time.Hour) }

func (s *story) verify(what, compact string) {
	s.Helper()
	token, _, err := jwt.NewParser().ParseUnverified(compact, jwt.MapClaims{})
	if err != nil {
		s.Fatal(err)
	}
	kid := token.Header["kid"].(string)
	for name, keys := range map[string]map[string]string{"Eager": s.eager, "Lazy": s.lazy} {
		if _, ok := keys[kid]; !ok {
			s.wrong("%s: %s does not have its key", what, name)
		}
	}
}

// names are the letters of keys, in order.
func (s *story) names(keys map[string]string) string {
	for _, issuer := range s.issuers {
		for _, key := range issuer.Keys() {
			s.letters[key.KID] = s.letter(key.KeyARN[strings.LastIndex(key.KeyARN, "/")+1:])
		}
	}
	var names []string
	for kid := range keys {
		names = append(names, s.letters[kid])
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

// is checks what everybody names, signs with, serves and has.
func (s *story) is(aliases, issuers string, verifiers ...string) {
	s.Helper()
	at := strings.Fields(s.aliases(s.T))
	if got := "jwt " + at[0] + ", next " + at[1] + ", prev " + at[2]; got != aliases {
		s.wrong("the aliases name %s, want %s", got, aliases)
	}
	for i, issuer := range s.issuers {
		keys := map[string]string{}
		for _, key := range issuer.Keys() {
			keys[key.KID] = ""
		}
		serves := s.names(keys)
		if got := "both sign with " + s.letters[issuer.Current().KID] + " and serve " + serves; got != issuers {
			s.wrong("issuer %d: %s, want %s", i, got, issuers)
		}
	}
	for i, keys := range []map[string]string{s.eager, s.lazy} {
		if got := []string{"Eager", "Lazy"}[i] + " has " + s.names(keys); got != verifiers[i] {
			s.wrong("%s, want %s", got, verifiers[i])
		}
	}
	s.chapter = nil
}

func (s *story) step(step keyring.Step) {
	s.Helper()
	if _, err := keyring.Rotate(s.Context(), s.fake, "alias/jwt", step); err != nil {
		s.wrong("%v", err)
	}
}

func (s *story) tooEarly(step keyring.Step) {
	s.Helper()
	s.refused(step, keyring.ErrTooEarly.Error())
}

func (s *story) refused(step keyring.Step, why string) {
	s.Helper()
	if _, err := keyring.Rotate(s.Context(), s.fake, "alias/jwt", step); err == nil || !strings.Contains(err.Error(), why) {
		s.wrong("%s: %v, want %q", step, err, why)
	}
}

func (s *story) revoke(letter string) {
	s.Helper()
	if _, err := keyring.Rotate(s.Context(), s.fake, "alias/jwt", keyring.Revoke, func(o *keyring.RotateOptions) { o.Key = s.seen[letter[0]-'A'] }); err != nil {
		s.wrong("%v", err)
	}
}
