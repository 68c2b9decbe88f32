package service

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/kmssign/kmssign/jwtkms"
)

// oauth is the metadata of RFC 8414 section 2, which serveConfiguration serves
// too.
type oauth struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	TokenEndpoint string   `json:"token_endpoint"`
	ResponseTypes []string `json:"response_types_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
}

// metadata returns what clients need to know. There is no authorization
// endpoint, so the list of response types is empty.
func (s *Service) metadata() oauth {
	methods := []string{"none"} // secrets are not checked
	if s.opts.Authorize != nil {
		methods = []string{"client_secret_basic", "client_secret_post"}
	}
	return oauth{
		s.opts.Issuer, s.base + "/.well-known/jwks.json", s.base + "/token",
		[]string{}, []string{"client_credentials"}, methods,
	}
}

// serveMetadata serves what RFC 8414 requires of an authorization server.
func (s *Service) serveMetadata(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeJSON(w, http.StatusOK, s.metadata())
}

// serveConfiguration serves what OpenID Connect Discovery 1.0 section 3
// requires of an issuer, as far as it applies. Its response type is the one
// that other issuers without an authorization endpoint name, such as
// Kubernetes.
func (s *Service) serveConfiguration(w http.ResponseWriter, r *http.Request) {
	algs, cacheControl, err := s.algs(r)
	if err != nil {
		writeError(w, http.StatusInternalServerError, "server_error", "the keys cannot be read")
		return
	}
	w.Header().Set("Cache-Control", cacheControl)
	metadata := s.metadata()
	metadata.ResponseTypes = []string{"id_token"}
	writeJSON(w, http.StatusOK, struct {
		oauth
		SubjectTypes []string `json:"subject_types_supported"`
		Algs         []string `json:"id_token_signing_alg_values_supported"`
	}{metadata, []string{"public"}, algs})
}

// algs returns the algorithms of all published keys, because verifiers must
// know that of the next key before it signs. They may be cached for as long as
// the keys.
func (s *Service) algs(r *http.Request) (algs []string, cacheControl string, err error) {
	answer := &memory{header: http.Header{}}
	get := r.Clone(r.Context())
	get.Method, get.Header = http.MethodGet, http.Header{} // the whole set, whatever the request asks for
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
