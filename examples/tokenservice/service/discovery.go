package service

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/kmssign/kmssign/jwtkms"
)

// serveConfiguration serves what OpenID Connect Discovery 1.0 section 3 requires of an
// issuer, where it applies. There is no authorization endpoint; the response type is
// the one that others without, such as Kubernetes, name.
func (s *Service) serveConfiguration(w http.ResponseWriter, r *http.Request) {
	algs, cacheControl, err := s.algs(r)
	if err != nil {
		writeError(w, http.StatusInternalServerError, "server_error", "the keys cannot be read")
		return
	}
	w.Header().Set("Cache-Control", cacheControl)
	writeJSON(w, http.StatusOK, struct {
		Issuer        string   `json:"issuer"`
		JWKSURI       string   `json:"jwks_uri"`
		TokenEndpoint string   `json:"token_endpoint"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algs          []string `json:"id_token_signing_alg_values_supported"`
	}{
		s.opts.Issuer, s.base + "/.well-known/jwks.json", s.base + "/token",
		[]string{"id_token"}, []string{"public"}, algs,
	})
}

// algs are the algorithms of all published keys: verifiers must know that of the next
// key before it signs. They may be kept for as long as the keys.
func (s *Service) algs(r *http.Request) (algs []string, cacheControl string, err error) {
	answer := &memory{header: http.Header{}}
	get := r.Clone(r.Context())
	get.Method, get.Header = http.MethodGet, http.Header{} // all of it, whatever was asked for
	s.ring.ServeHTTP(answer, get)
	var set jwtkms.JWKSet
	if err := json.Unmarshal(answer.body.Bytes(), &set); err != nil {
		return nil, "", err
	}
	for _, key := range set.Keys {
		algs = append(algs, key.Alg)
	}
	slices.Sort(algs)
	return slices.Compact(algs), answer.header.Get("Cache-Control"), nil
}

// memory is an http.ResponseWriter that keeps the answer.
type memory struct {
	header http.Header
	body   bytes.Buffer
}

func (m *memory) Header() http.Header         { return m.header }
func (m *memory) Write(b []byte) (int, error) { return m.body.Write(b) }
func (m *memory) WriteHeader(int)             {}
