package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kmssign/kmssign/jwtkms"
)

// leastMaxAge is what Cache-Control announces however old the keys are, so that
// verifiers do not ask for every token.
const leastMaxAge = 5 * time.Second

// ServeHTTP serves the public keys as a JSON Web Key Set (RFC 7517 section
// 8.5.2) to GET and HEAD requests, with an ETag and a Cache-Control. The
// max-age is [Timing.MaxAge]. The timing of a rotation depends on it, so
// proxies must not make it longer. If refreshes have failed for longer than
// PropagationDelay allows (see "Time constants"), the max-age shrinks to no
// less than five seconds, so that an issuer that is cut off from KMS does not
// spread an old set for long. Access-Control-Allow-Origin lets the scripts of
// any web page read the keys, which are public. ServeHTTP makes no call.
func (r *Ring) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed, want GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	if r.isZero() {
		http.Error(w, errNoRing.Error(), http.StatusInternalServerError)
		return
	}
	s := r.state.Load()
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(r.maxAge(s, time.Now()).Seconds())))
	h.Set("ETag", s.etag)
	h.Set("Access-Control-Allow-Origin", "*")
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(s.jwks))
}

// maxAge is how long a verifier that fetches the keys now may cache them.
func (r *Ring) maxAge(s *state, now time.Time) time.Duration {
	if s.until.IsZero() {
		return r.opts.MaxAge
	}
	return min(max(s.until.Sub(now), leastMaxAge), r.opts.MaxAge)
}

// serve puts the keys into the form in which ServeHTTP and Keyfunc answer.
func (s *state) serve(keys []*member) error {
	// The same keys make the same bytes, for the ETag, whatever their order.
	slices.SortFunc(keys, func(a, b *member) int { return strings.Compare(a.jwk.Kid, b.jwk.Kid) })
	s.published = keys
	s.byKid = make(map[string]*member, len(keys))
	set := jwtkms.JWKSet{Keys: []jwtkms.JWK{}}
	for _, m := range keys {
		s.byKid[m.jwk.Kid] = m
		set.Keys = append(set.Keys, m.jwk)
	}
	var err error
	if s.jwks, err = json.Marshal(set); err != nil {
		return err
	}
	sum := sha256.Sum256(s.jwks)
	s.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	return nil
}
