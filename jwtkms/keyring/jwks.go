package keyring

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// ServeHTTP serves the public keys as a JSON Web Key Set (RFC 7517 section 8.5.2),
// with an ETag, and with a Cache-Control of [Options.MaxAge], on which the timing of
// a rotation rests. GET and HEAD only.
func (r *Ring) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed, want GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	s := r.state.Load()
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(r.opts.MaxAge.Seconds())))
	h.Set("ETag", s.etag)
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(s.jwks))
}
