package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// demonstrate tells the story of a rotation, a rollback and an emergency.
func demonstrate(ctx context.Context, req request, stdout io.Writer) error {
	fake, signing, err := cli.NewFake(ctx)
	if err != nil {
		return err
	}
	s := &story{client: &clocked{KMS: fake, dates: map[string]time.Duration{}}, signing: signing, req: req, stdout: stdout}
	var (
		delay = cmp.Or(req.opts.PropagationDelay, req.opts.RefreshInterval+req.opts.MaxAge+req.opts.Slack)
		hold  = delay - req.opts.MaxAge + req.opts.MaxLifetime
		apart = req.opts.Slack + 31*time.Second // between two steps
	)
	for _, act := range []act{
		s.tell("A rotation. A key has signed for a day."),
		s.later("", 24*time.Hour),
		s.show,
		s.prepare,
		s.refused(keyring.Promote),
		s.later("Every verifier has fetched the new key by then.", delay+time.Second),
		s.take(keyring.Promote),
		s.issuer,
		s.refused(keyring.Retire),
		s.later("The last token of the old key has expired.", hold+2*time.Second),
		s.take(keyring.Retire),
		s.show,

		s.tell("A rollback. Customers cannot use tokens of the next key."),
		s.later("", 24*time.Hour),
		s.prepare,
		s.later("", delay+time.Second),
		s.take(keyring.Promote),
		s.later("", apart),
		s.take(keyring.Rollback),
		s.issuer,
		s.show,
		s.later("", hold+2*time.Second),
		s.take(keyring.Retire),

		s.tell("An emergency. A standby key is prepared, and the signing key is stolen."),
		s.later("", 24*time.Hour),
		s.prepare,
		s.later("", delay+time.Second),
		s.issuer,
		s.revoke,
		s.issuer,
		s.show,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A story is a demonstration that is running.
type story struct {
	client  *clocked
	signing string
	req     request
	stdout  io.Writer
}

// An act is a part of the story.
type act func(context.Context) error

func (s *story) tell(text string) act {
	return func(context.Context) error {
		_, err := fmt.Fprintf(s.stdout, "\n# %s\n", text)
		return err
	}
}

// later moves the clock by d.
func (s *story) later(text string, d time.Duration) act {
	return func(context.Context) error {
		s.client.passed += d
		_, err := fmt.Fprintf(s.stdout, "\n%s\n", strings.TrimSpace(fmt.Sprintf("%v later. %s", d, text)))
		return err
	}
}

// command writes a command as a user would type it.
func (s *story) command(flags string) {
	fmt.Fprintf(s.stdout, "\n$ rotate -alias %s%s\n", s.signing, flags)
}

func (s *story) show(ctx context.Context) error {
	s.command("")
	return show(ctx, s.client, s.signing, s.req, time.Now().Add(s.client.passed), s.stdout)
}

func (s *story) take(step keyring.Step) act {
	return func(ctx context.Context) error {
		s.command(" -step " + string(step))
		req := s.req
		req.step = step
		return take(ctx, s.client, s.signing, req, s.stdout)
	}
}

// prepare takes the step prepare, with -force if verifiers may not know -spec.
func (s *story) prepare(ctx context.Context) error {
	err := s.take(keyring.Prepare)(ctx)
	if err == nil || s.req.spec == "" {
		return err
	}
	fmt.Fprintf(s.stdout, "rotate: %v\n", err)
	s.command(" -step prepare -force")
	req := s.req
	req.step, req.opts.Force = keyring.Prepare, true
	return take(ctx, s.client, s.signing, req, s.stdout)
}

// refused takes a step too early, which must fail.
func (s *story) refused(step keyring.Step) act {
	return func(ctx context.Context) error {
		err := s.take(step)(ctx)
		if !errors.Is(err, keyring.ErrTooEarly) {
			return fmt.Errorf("%s should have been too early: %w", step, err)
		}
		_, err = fmt.Fprintf(s.stdout, "rotate: %v\n", err)
		return err
	}
}

// revoke revokes the signing key.
func (s *story) revoke(ctx context.Context) error {
	out, err := s.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &s.signing})
	if err != nil {
		return err
	}
	req := s.req
	req.step, req.opts.Key = keyring.Revoke, aws.ToString(out.KeyMetadata.KeyId)
	s.command(" -step revoke -key " + req.opts.Key)
	return take(ctx, s.client, s.signing, req, s.stdout)
}

// issuer writes which key an issuer that reads the aliases now would sign with,
// and which keys it would publish.
func (s *story) issuer(ctx context.Context) error {
	ring, err := keyring.New(ctx, s.client, s.signing, func(o *keyring.Options) {
		o.Timing = s.req.opts.Timing
		o.Logger = slog.New(slog.DiscardHandler)
	})
	if err != nil {
		return err
	}
	var published []string
	for _, key := range ring.Keys() {
		published = append(published, id(key.KeyARN))
	}
	_, err = fmt.Fprintf(s.stdout, "\nIssuers sign with %s\nand publish %s\n", id(ring.Current().KeyARN), strings.Join(published, "\n        and "))
	return err
}

// clocked is a fake KMS whose time the story moves. It does so by making the
// dates of the aliases older.
type clocked struct {
	*kmstest.KMS
	passed time.Duration
	dates  map[string]time.Duration // by alias: the value of passed when it was last moved
}

func (c *clocked) CreateAlias(ctx context.Context, in *kms.CreateAliasInput, optFns ...func(*kms.Options)) (*kms.CreateAliasOutput, error) {
	c.dates[aws.ToString(in.AliasName)] = c.passed
	return c.KMS.CreateAlias(ctx, in, optFns...)
}

func (c *clocked) UpdateAlias(ctx context.Context, in *kms.UpdateAliasInput, optFns ...func(*kms.Options)) (*kms.UpdateAliasOutput, error) {
	c.dates[aws.ToString(in.AliasName)] = c.passed
	return c.KMS.UpdateAlias(ctx, in, optFns...)
}

func (c *clocked) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	out, err := c.KMS.ListAliases(ctx, in, optFns...)
	if err != nil {
		return nil, err
	}
	for i, entry := range out.Aliases {
		ago := c.passed - c.dates[aws.ToString(entry.AliasName)]
		out.Aliases[i].LastUpdatedDate = aws.Time(entry.LastUpdatedDate.Add(-ago))
		out.Aliases[i].CreationDate = aws.Time(entry.CreationDate.Add(-ago))
	}
	return out, nil
}
