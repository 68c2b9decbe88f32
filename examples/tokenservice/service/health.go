package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/examples/internal/advice"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
)

// health is the result of the last health check. The goroutine that holds the
// turn may use the other fields.
type health struct {
	turn chan struct{} // has one place
	at   time.Time
	kid  string
	err  error
}

func (s *Service) serveHealth(w http.ResponseWriter, r *http.Request) {
	kid, err := s.healthy(r.Context())
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		// Anyone may ask, so the message of KMS, which has ARNs, is only
		// logged.
		reason := "the signing service does not answer"
		if apiErr, ok := errors.AsType[smithy.APIError](err); ok {
			reason = apiErr.ErrorCode()
		}
		writeError(w, http.StatusServiceUnavailable, "temporarily_unavailable", reason)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Status string `json:"status"`
		KID    string `json:"kid"`
	}{"ok", kid})
}

// healthy returns the kid of the current key, and an error if KMS would not
// sign with it. The result may be up to HealthInterval old.
func (s *Service) healthy(ctx context.Context) (kid string, err error) {
	h := &s.health
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if !h.at.IsZero() && time.Since(h.at) < s.opts.HealthInterval {
		return h.kid, h.err
	}
	key := s.ring.Current()
	// Later requests share the result, so it must not depend on the context of
	// this one.
	dry, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.RequestTimeout)
	defer cancel()
	err = dryRun(dry, s.client, key, s.opts.SignerOptions)
	if s.noteThrottle(err) {
		// KMS is available and did not refuse the key. If this were a failure,
		// all instances would be taken out of service together.
		err = nil
	}
	if err != nil {
		s.metrics.unhealthy.Add(1)
		attrs := []slog.Attr{slog.String("key", key.KeyARN), slog.Any("error", err)}
		if what := advice.For(err); what != "" {
			attrs = append(attrs, slog.String("advice", what))
		}
		s.opts.Logger.LogAttrs(ctx, slog.LevelError, "health check failed", attrs...)
	} else {
		s.metrics.healthy.Add(1)
	}
	h.at, h.kid, h.err = time.Now(), key.KID, err
	return h.kid, h.err
}

// dryRun asks KMS whether it would sign with the key as the Ring does.
func dryRun(ctx context.Context, client kmssigner.Client, key keyring.Key, optFns []func(*kmssigner.Options)) error {
	method, err := methodOf(key.Alg)
	if err != nil {
		return err
	}
	known := func(o *kmssigner.Options) { o.PublicKey = key.Public } // so that New makes no call
	signer, err := kmssigner.New(ctx, dryRunClient{client}, key.KeyARN, append(optFns[:len(optFns):len(optFns)], known)...)
	if err != nil {
		return err
	}
	_, err = method.Sign("health check", signer.WithContext(ctx))
	if _, ok := errors.AsType[*types.DryRunOperationException](err); ok {
		return nil
	}
	return err // nil if an emulator ignores DryRun and signs
}

// dryRunClient makes Sign calls dry runs, which make no signature.
type dryRunClient struct{ kmssigner.Client }

func (c dryRunClient) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	dry := *in
	dry.DryRun = aws.Bool(true)
	return c.Client.Sign(ctx, &dry, optFns...)
}

// methodOf returns the method of the Ring. MethodFor could return another,
// because the Ring's options may choose the method.
func methodOf(alg string) (*jwtkms.SigningMethod, error) {
	for _, m := range []*jwtkms.SigningMethod{
		jwtkms.ES256, jwtkms.ES384, jwtkms.ES512, jwtkms.ES256K,
		jwtkms.RS256, jwtkms.RS384, jwtkms.RS512, jwtkms.PS256, jwtkms.PS384, jwtkms.PS512,
		jwtkms.EdDSA, jwtkms.Ed25519, jwtkms.MLDSA44, jwtkms.MLDSA65, jwtkms.MLDSA87,
	} {
		if m.Alg() == alg {
			return m, nil
		}
	}
	return nil, fmt.Errorf("no method has the alg %q", alg)
}
