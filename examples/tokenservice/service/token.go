package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/internal/advice"
	"github.com/kmssign/kmssign/kmssigner"
)

// own are the claims that only the service sets.
var own = map[string]bool{"iss": true, "iat": true, "exp": true, "jti": true}

// SetsClaim reports whether only the service sets the claim. It is true for
// iss, iat, exp and jti.
func SetsClaim(name string) bool { return own[name] }

// A refusal is the reason why a request is refused.
type refusal struct {
	kind   kind
	status int
	oauth  string // the error of RFC 6749 section 5.2; empty: by status
	text   string // for the client
	err    error  // for the log; it says nothing about the claims
}

// refuseRequest returns the refusal of a malformed request.
func refuseRequest(format string, args ...any) *refusal {
	return &refusal{kind: badRequest, status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// code returns the error code of RFC 6749 section 5.2.
func (f *refusal) code() string {
	switch {
	case f.oauth != "":
		return f.oauth
	case f.status == http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case f.status >= 500:
		return "server_error"
	case f.status == http.StatusForbidden:
		return "access_denied"
	}
	return "invalid_request"
}

// refuse answers a request with a refusal.
func (s *Service) refuse(w http.ResponseWriter, refused *refusal) {
	s.metrics.failures[refused.kind].Add(1)
	note(w, slog.String("failure", refused.kind.String()))
	if refused.err != nil {
		note(w, slog.Any("error", refused.err))
		if what := advice.For(refused.err); what != "" {
			note(w, slog.String("advice", what))
		}
	}
	if refused.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(s.opts.RetryAfter/time.Second)))
	}
	writeError(w, refused.status, refused.code(), refused.text)
}

func (s *Service) serveToken(w http.ResponseWriter, r *http.Request) {
	token, refused := s.token(w, r)
	if refused != nil {
		s.refuse(w, refused)
		return
	}
	s.metrics.issued.Add(1)
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	writeJSON(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
	}{token, "Bearer", int64(s.opts.Lifetime / time.Second)})
}

func (s *Service) token(w http.ResponseWriter, r *http.Request) (string, *refusal) {
	typ, refused := s.tokenType(r)
	if refused != nil {
		return "", refused
	}
	body, isForm, refused := s.readBody(w, r)
	if refused != nil {
		return "", refused
	}
	var claims jwt.MapClaims
	if isForm {
		claims, refused = s.parseForm(r, body, typ)
	} else {
		claims, refused = s.parseJSON(body, typ)
	}
	if refused != nil {
		return "", refused
	}
	if s.opts.Authorize != nil {
		if err := s.opts.Authorize(r, claims); err != nil {
			return "", &refusal{kind: denied, status: http.StatusForbidden, text: err.Error()}
		}
	}
	if sub, ok := claims["sub"].(string); !ok || sub == "" {
		return "", refuseRequest(`the claim "sub" is required, as a string that is not empty`)
	}
	if typ == typeAccess {
		if refused := checkAccess(claims); refused != nil {
			return "", refused
		}
	}

	// Refuse instead of queueing, because a queued request is answered too
	// late.
	select {
	case s.signing <- struct{}{}:
		defer func() { <-s.signing }()
	default:
		return "", &refusal{kind: full, status: http.StatusServiceUnavailable, text: "too many requests are being served, try again later"}
	}
	now := time.Now()
	claims["iss"] = s.opts.Issuer
	claims["iat"] = now.Unix()
	claims["exp"] = now.Unix() + int64(s.opts.Lifetime/time.Second)
	claims["jti"] = rand.Text()
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.RequestTimeout)
	defer cancel()
	spanned, end := s.opts.StartSpan(ctx, "sign token")
	token, err := s.ring.Sign(spanned, claims, setType(typ))
	end(err)
	if err != nil {
		return "", s.signFailure(r.Context(), ctx, err)
	}
	return token, nil
}

func (s *Service) readBody(w http.ResponseWriter, r *http.Request) (body []byte, isForm bool, refused *refusal) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isForm = mediaType == "application/x-www-form-urlencoded"
	if err != nil || mediaType != "application/json" && !isForm {
		return nil, false, &refusal{kind: mediaTypeKind, status: http.StatusUnsupportedMediaType, text: "the Content-Type is not application/json or application/x-www-form-urlencoded"}
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, false, &refusal{kind: mediaTypeKind, status: http.StatusUnsupportedMediaType, text: "a Content-Encoding is not supported"}
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, s.opts.MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, false, &refusal{kind: tooLong, status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("the body has more than %d bytes", s.opts.MaxBody)}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, false, &refusal{kind: badRequest, status: http.StatusRequestTimeout, text: "the body did not arrive in time", err: err}
	}
	if err != nil {
		return nil, false, &refusal{kind: badRequest, status: http.StatusBadRequest, text: "the body cannot be read", err: err}
	}
	return body, isForm, nil
}

// signFailure returns the refusal for an error of the Ring.
func (s *Service) signFailure(client, ctx context.Context, err error) *refusal {
	unavailable := func(kind kind, text string) *refusal {
		return &refusal{kind: kind, status: http.StatusServiceUnavailable, text: text + ", try again later", err: err}
	}
	apiErr, answered := errors.AsType[smithy.APIError](err)
	switch {
	case s.noteThrottle(err):
		return unavailable(throttled, "the signing service is busy")
	case client.Err() != nil:
		return unavailable(canceled, "the request was canceled") // the client is gone
	case ctx.Err() != nil:
		return unavailable(timeout, "signing took too long")
	case errors.Is(err, kmssigner.ErrMessageLength):
		return &refusal{kind: tooLong, status: http.StatusRequestEntityTooLarge, text: "the token would be longer than the 4096 bytes that the signing key can sign; shorten the claims", err: err}
	case errors.Is(err, kmssigner.ErrBadSignature):
		return unavailable(badSignature, "signing failed")
	case answered && !transient(apiErr, err):
		// KMS refuses the key or the caller. Only an operator can help. The log
		// says why.
		return &refusal{kind: kmsRefused, status: http.StatusInternalServerError, text: "the signing key cannot be used; report this to the operator of the service", err: err}
	case answered || isOperationError(err):
		return unavailable(kmsUnavailable, "the signing service is unavailable")
	}
	return &refusal{kind: internal, status: http.StatusInternalServerError, text: "signing failed", err: err}
}

// throttle recognizes errors of throttling, including those after which the SDK
// had no retries left.
var throttle = retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}

// noteThrottle reports whether KMS throttled the call, and counts it.
func (s *Service) noteThrottle(err error) bool {
	if throttle.IsErrorThrottle(err) != aws.TrueTernary {
		return false
	}
	s.metrics.throttles.Add(1)
	return true
}

// transient reports whether an error of KMS is temporary.
func transient(err smithy.APIError, chain error) bool {
	switch err.ErrorCode() {
	case (&types.KMSInternalException{}).ErrorCode(),
		(&types.DependencyTimeoutException{}).ErrorCode(),
		(&types.KeyUnavailableException{}).ErrorCode():
		return true
	}
	// The error may also come from a front end or a proxy.
	response, ok := errors.AsType[*smithyhttp.ResponseError](chain)
	return ok && response.HTTPStatusCode() >= 500
}

// isOperationError reports whether the SDK failed, in the network for example.
func isOperationError(err error) bool {
	_, ok := errors.AsType[*smithy.OperationError](err)
	return ok
}
