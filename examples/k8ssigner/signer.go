package main

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwt "k8s.io/externaljwt/apis/v1"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
)

// A signer is the gRPC service ExternalJWTSigner.
type signer struct {
	externaljwt.UnimplementedExternalJWTSignerServer
	ring      *keyring.Ring
	set       settings
	logger    *slog.Logger
	refreshed atomic.Pointer[time.Time] // when the last complete refresh ended
	counts    counts
}

// newSigner makes the first look at the aliases.
func newSigner(ctx context.Context, client keyring.Client, alias string, set settings, logger *slog.Logger) (*signer, error) {
	s := &signer{set: set, logger: logger}
	now := time.Now()
	s.refreshed.Store(&now)
	var err error
	s.ring, err = keyring.New(ctx, client, alias, func(o *keyring.Options) {
		*o = set.ring
		o.Method = method
		o.Logger = logger
		o.OnRefresh = s.onRefresh
	})
	return s, err
}

func (s *signer) onRefresh(err error) {
	s.counts.refresh(err)
	if err == nil {
		now := time.Now()
		s.refreshed.Store(&now)
	}
}

// method refuses what kube-apiserver does not take. The Ring neither publishes
// nor signs with a key that is refused, if an alias comes to name one.
func method(key crypto.PublicKey) (*jwtkms.SigningMethod, error) {
	m, err := jwtkms.MethodFor(key)
	if err != nil {
		return nil, err
	}
	switch m.Alg() {
	case "RS256", "ES256", "ES384", "ES512":
		return m, nil
	}
	return nil, fmt.Errorf("kube-apiserver does not take %s, want a key for RS256, ES256, ES384 or ES512", m.Alg())
}

func (s *signer) register(server *grpc.Server) {
	externaljwt.RegisterExternalJWTSignerServer(server, s)
}

// Sign signs claims, which are exactly as they will be in the token.
func (s *signer) Sign(ctx context.Context, req *externaljwt.SignJWTRequest) (*externaljwt.SignJWTResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.set.timeout)
	defer cancel()
	claims := req.GetClaims()
	payload, err := base64.RawURLEncoding.Strict().DecodeString(claims)
	if err == nil && base64.RawURLEncoding.EncodeToString(payload) != claims {
		err = errors.New("it has line breaks")
	}
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the claims are not in base64url without padding: %v", err)
	}
	if !json.Valid(payload) || !utf8.Valid(payload) {
		return nil, status.Errorf(codes.InvalidArgument, "the claims are not JSON in UTF-8 (%d bytes)", len(payload))
	}
	compact, err := s.ring.SignPayload(ctx, payload)
	if err != nil {
		return nil, status.Error(code(ctx, err), err.Error())
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 || parts[1] != claims {
		return nil, status.Error(codes.Internal, "the token does not have the claims that were asked for")
	}
	return &externaljwt.SignJWTResponse{Header: parts[0], Signature: parts[2]}, nil
}

// code is the gRPC code of an error of SignPayload.
func code(ctx context.Context, err error) codes.Code {
	switch {
	case errors.Is(err, keyring.ErrLifetime):
		return codes.InvalidArgument
	case errors.Is(ctx.Err(), context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	}
	return codes.Unavailable
}

// FetchKeys returns the keys that verify.
func (s *signer) FetchKeys(context.Context, *externaljwt.FetchKeysRequest) (*externaljwt.FetchKeysResponse, error) {
	refreshed := *s.refreshed.Load() // before the keys, which may be newer
	keys, err := s.keys()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &externaljwt.FetchKeysResponse{
		Keys:               keys,
		DataTimestamp:      timestamppb.New(refreshed),
		RefreshHintSeconds: int64(s.maxAge(refreshed) / time.Second),
	}, nil
}

// maxAge is how long kube-apiserver, and whoever reads its JWKS, may keep the
// keys. It is shorter while refreshes fail, because a key that this signer has
// not seen signs no sooner than the delay allows.
func (s *signer) maxAge(refreshed time.Time) time.Duration {
	ring := s.set.ring
	delay := cmp.Or(ring.PropagationDelay, ring.RefreshInterval+ring.MaxAge+ring.Slack)
	// A refresh begins up to Slack/2 before it is complete.
	left := time.Until(refreshed.Add(delay - ring.Slack - ring.Slack/2))
	return min(max(left, 5*time.Second), ring.MaxAge)
}

// keys are those of the Ring and the old ones.
func (s *signer) keys() ([]*externaljwt.Key, error) {
	var keys []*externaljwt.Key
	for _, key := range s.ring.Keys() {
		spki, err := x509.MarshalPKIXPublicKey(key.Public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, &externaljwt.Key{KeyId: key.KID, Key: spki})
	}
	for _, key := range s.set.old {
		keys = append(keys, &externaljwt.Key{KeyId: key.id, Key: key.spki})
	}
	return keys, nil
}

// Metadata says how long a token may live.
func (s *signer) Metadata(context.Context, *externaljwt.MetadataRequest) (*externaljwt.MetadataResponse, error) {
	return &externaljwt.MetadataResponse{MaxTokenExpirationSeconds: int64((s.set.ring.MaxLifetime - margin) / time.Second)}, nil
}

// observe counts and logs requests. Neither the request nor the answer is
// logged.
func (s *signer) observe(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	began := time.Now()
	out, err := handle(ctx, req)
	_, name, _ := strings.Cut(strings.TrimPrefix(info.FullMethod, "/"), "/")
	s.counts.request(name, status.Code(err))
	attrs := []slog.Attr{slog.String("method", name), slog.String("code", status.Code(err).String()), slog.Duration("took", time.Since(began))}
	if err != nil {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "request failed", append(attrs, slog.String("error", status.Convert(err).Message()))...)
	} else {
		s.logger.LogAttrs(ctx, slog.LevelDebug, "request", attrs...)
	}
	return out, err
}
