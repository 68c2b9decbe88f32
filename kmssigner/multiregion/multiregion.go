// Package multiregion signs with a multi-Region key of AWS KMS in more than one
// Region, so that signing goes on when KMS in one Region does not.
//
//	client, err := multiregion.New([]multiregion.Region{
//		{Client: kms.NewFromConfig(cfg, func(o *kms.Options) { o.Region = "eu-west-1" })},
//		{Client: kms.NewFromConfig(cfg, func(o *kms.Options) { o.Region = "eu-central-1" })},
//	})
//	...
//	signer, err := kmssigner.New(ctx, client, "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab")
//
// A multi-Region key has the same key ID and key material in every Region that it
// was replicated to, and an ARN, a policy, aliases and a state of its own in each.
// [Client] is a [kmssigner.Client] and a [kmssigner.HMACClient], so that a Signer,
// an HMAC and all that is built on them need not know that there are several.
//
// # Names of keys
//
// The Region in a key ARN or an alias ARN is replaced with that of the Region that
// is asked. Key IDs (mrk-...) and alias names are the same everywhere. A Region's
// answer must name the key that was asked for, in that Region, and is then
// given the Region of the ARN that the caller sent, or of the first Region if it
// sent none: whichever Region signs, to the caller it is one key. An answer for
// another key is [kmssigner.ErrKeyChanged], and a key whose ID does not begin with
// mrk- is [kmssigner.ErrUnsupportedKey]. An alias must exist in every Region, and
// name the same key there.
//
// # When another Region is asked
//
// A call goes to the first Region and, if that is not available, to the next, once
// each. Not available means: no connection, or one that broke; no answer in
// the time that the Region had; HTTP status 5xx; KMSInternalException,
// DependencyTimeoutException, KeyUnavailableException; throttling; an answer
// that does not parse. That is after the retries of the Region's own client; this
// package repeats nothing in a Region. All else that KMS says, AccessDenied,
// Disabled, an invalid state, NotFound, is its answer, and no other Region is asked
// for a better one; nor is it where the SDK refuses the request. If no Region is
// available, the error names what each of them said, and errors.Is and
// errors.As find all of it. An answer without an error is not judged here, but for
// its KeyId: the Signer verifies the signature, and should go on doing so.
//
// # Time
//
// A Region gets an equal share of the time that ctx leaves to the Regions not yet
// asked, and at most [Options.AttemptTimeout]; the last gets all that is left. So
// with two Regions and the ten seconds of a Signer, a Region that hangs costs the
// first calls two seconds, and then nothing: see below. The back-off of the SDK's
// retries is part of that time, up to two and up to four seconds by default, and
// the other Region is the better retry. Clients with
// RetryMaxAttempts 2 and a short back-off (retry.AddWithMaxBackoffDelay) move on
// sooner. The end of the caller's own context is never held against a Region.
//
// # Regions that are down
//
// A Region that was not available is passed over: it is asked last, if all others
// fail. After [Options.ProbeInterval] one call at a time is sent there first, and
// moves on after a second at most; when it is answered, the Region is back. A throttled
// Region is passed over for one second, because KMS's quotas are per second. Nothing
// runs in the background, and no call is made but those that callers ask for.
//
// # Calls and cost
//
// Every Region asked is a call that AWS charges. Sign makes one as long as
// the first Region is well. GetPublicKey, which a Signer calls once, asks every
// Region that is not down, and compares the answers. Each Region needs the permissions
// that kmssigner lists, in its own key policy.
package multiregion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/kmssigner"
)

// ErrKeyMismatch is returned by GetPublicKey, and so by kmssigner.New, when
// the Regions do not have the same public key, or an alias names different keys in them.
var ErrKeyMismatch = errors.New("the Regions have different keys")

// A Region is one Region that has the key, or a replica of it.
type Region struct {
	// Name is the name of the Region, "eu-west-1" for one. It may be empty if
	// Client is a *kms.Client, which has it in its options.
	Name string

	// Client calls KMS in that Region. It must be safe for concurrent use and
	// must return when its context ends, as *kms.Client does. For HMAC keys it must be a
	// kmssigner.HMACClient too.
	Client kmssigner.Client
}

// Options change what a [Client] does. The zero value is what most callers want.
type Options struct {
	// AttemptTimeout is the most time that a Region gets while there is another
	// to ask, the retries of its client included. Where ctx has no deadline the last
	// Region gets no more either. Zero means two seconds. Negative means that only
	// the deadline of ctx is shared out.
	AttemptTimeout time.Duration

	// ProbeInterval is how long a Region that was not available is passed over
	// before one call tries it again. Zero means ten seconds.
	ProbeInterval time.Duration

	// HedgeAfter, if not zero, sends a call to a second Region as well when the first
	// has not answered for so long, and takes the answer that comes first; the
	// other call is cancelled. It cuts the latency of the slowest calls at the price of
	// a second charge for each of them: with the 99th percentile of the usual latency
	// 1 % more calls. A signature is whole from either Region; nothing of two answers
	// is mixed. What the first Region refuses stays refused. A Region that came second
	// ten times in a row in spite of its head start is passed over like one that is down. Zero
	// means never.
	HedgeAfter time.Duration

	// Spread sends calls to all Regions in turn that are not down, and not to
	// the first alone, because each has a request quota of its own. It costs the
	// latency of the farthest. False means that the first is preferred.
	Spread bool
}

const (
	defaultAttemptTimeout = 2 * time.Second
	defaultProbeInterval  = 10 * time.Second

	// probeTimeout has room for a TLS handshake to the other side of the world.
	probeTimeout = time.Second

	// throttleInterval is how long a throttled Region is spared.
	throttleInterval = time.Second

	// fairTimeout is how long a Region must have had for its silence to count
	// at once. A caller in more of a hurry learns little about the Region.
	fairTimeout = 500 * time.Millisecond

	// maxLate is how many calls in a row a Region may be late for, where being late for one
	// says little: it had less than fairTimeout, or it came second.
	maxLate = 10
)

// A Client calls KMS in one of several Regions. It implements [kmssigner.Client]
// and [kmssigner.HMACClient] and is safe for concurrent use. Make one with [New], and
// share it: what it learns about the Regions serves all callers.
//
// Options of single calls, such as [kmssigner.Options.ClientOptions], go to the client of
// whichever Region is asked: they must not set a Region or an endpoint, and with
// [Options.HedgeAfter] must be safe for concurrent use.
type Client struct {
	opts    Options
	regions []*region

	mu   sync.Mutex // guards all below and the state of the regions
	turn int        // of Spread
	seen map[string][]byte
}

var (
	_ kmssigner.Client     = (*Client)(nil)
	_ kmssigner.HMACClient = (*Client)(nil)
)

// New returns a Client for the given Regions, the preferred one first. It makes no
// call. It fails if there is no Region, if one lacks a name or a client, if a
// name is there twice, or if a *kms.Client is for another Region than its name says.
func New(regions []Region, optFns ...func(*Options)) (*Client, error) {
	c := &Client{seen: map[string][]byte{}}
	for _, fn := range optFns {
		fn(&c.opts)
	}
	if c.opts.AttemptTimeout == 0 {
		c.opts.AttemptTimeout = defaultAttemptTimeout
	}
	if c.opts.ProbeInterval == 0 {
		c.opts.ProbeInterval = defaultProbeInterval
	}
	if c.opts.ProbeInterval < 0 || c.opts.HedgeAfter < 0 {
		return nil, fmt.Errorf("multiregion: Options.ProbeInterval is %v and Options.HedgeAfter %v, want none negative",
			c.opts.ProbeInterval, c.opts.HedgeAfter)
	}
	if len(regions) == 0 {
		return nil, errors.New("multiregion: there are no Regions")
	}
	for i, r := range regions {
		if r.Client == nil {
			return nil, fmt.Errorf("multiregion: Region %d (%q) has no client", i, r.Name)
		}
		if client, ok := r.Client.(*kms.Client); ok {
			configured := client.Options().Region
			if r.Name == "" {
				r.Name = configured
			}
			if r.Name != configured {
				return nil, fmt.Errorf("multiregion: the client of Region %q is for %q", r.Name, configured)
			}
		}
		if r.Name == "" {
			return nil, fmt.Errorf("multiregion: Region %d has no name", i)
		}
		if slices.ContainsFunc(c.regions, func(other *region) bool { return other.Name == r.Name }) {
			return nil, fmt.Errorf("multiregion: Region %q is there twice", r.Name)
		}
		c.regions = append(c.regions, &region{Region: r})
	}
	return c, nil
}

// Down returns the names of the Regions that are passed over at the moment, in the
// order of New, for metrics and health checks. It makes no call.
func (c *Client) Down() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, r := range c.regions {
		if !r.downUntil.IsZero() {
			names = append(names, r.Name)
		}
	}
	return names
}

// Sign does what the method of *kms.Client does, in the first Region that is
// available; the package comment says when which is asked. It makes one call, and one
// more for each Region that was not available or was hedged.
func (c *Client) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	own := kms.SignInput{}
	if in != nil {
		own = *in
	}
	c.own(&own.Message)
	optFns = slices.Clip(optFns)
	return run(ctx, c, "Sign", own.KeyId, func(ctx context.Context, r *region, key keyName) (*kms.SignOutput, error) {
		there := own
		there.KeyId = key.in(r)
		out, err := r.Client.Sign(ctx, &there, optFns...)
		if err != nil || out == nil {
			return out, err
		}
		here := *out // the client may have kept it
		here.KeyId, err = key.home(r, out.KeyId)
		return &here, err
	})
}

// GenerateMac does for HMAC keys what Sign does for others. It fails where the
// client of the Region asked is no [kmssigner.HMACClient].
func (c *Client) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, optFns ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	own := kms.GenerateMacInput{}
	if in != nil {
		own = *in
	}
	c.own(&own.Message)
	optFns = slices.Clip(optFns)
	return run(ctx, c, "GenerateMac", own.KeyId, func(ctx context.Context, r *region, key keyName) (*kms.GenerateMacOutput, error) {
		client, err := r.hmacClient()
		if err != nil {
			return nil, err
		}
		there := own
		there.KeyId = key.in(r)
		out, err := client.GenerateMac(ctx, &there, optFns...)
		if err != nil || out == nil {
			return out, err
		}
		here := *out
		here.KeyId, err = key.home(r, out.KeyId)
		return &here, err
	})
}

// VerifyMac does what the method of *kms.Client does, as GenerateMac. That a MAC
// does not verify is an answer, and no other Region is asked.
func (c *Client) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	own := kms.VerifyMacInput{}
	if in != nil {
		own = *in
	}
	c.own(&own.Message)
	c.own(&own.Mac)
	optFns = slices.Clip(optFns)
	return run(ctx, c, "VerifyMac", own.KeyId, func(ctx context.Context, r *region, key keyName) (*kms.VerifyMacOutput, error) {
		client, err := r.hmacClient()
		if err != nil {
			return nil, err
		}
		there := own
		there.KeyId = key.in(r)
		out, err := client.VerifyMac(ctx, &there, optFns...)
		if err != nil || out == nil {
			return out, err
		}
		here := *out
		here.KeyId, err = key.home(r, out.KeyId)
		return &here, err
	})
}

// DescribeKey does what the method of *kms.Client does, as GenerateMac. Of the
// answer, the key's ARN is given the caller's Region; all else is as the Region that
// answered says.
func (c *Client) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, optFns ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	own := kms.DescribeKeyInput{}
	if in != nil {
		own = *in
	}
	optFns = slices.Clip(optFns)
	return run(ctx, c, "DescribeKey", own.KeyId, func(ctx context.Context, r *region, key keyName) (*kms.DescribeKeyOutput, error) {
		client, err := r.hmacClient()
		if err != nil {
			return nil, err
		}
		there := own
		there.KeyId = key.in(r)
		out, err := client.DescribeKey(ctx, &there, optFns...)
		if err != nil || out == nil || out.KeyMetadata == nil {
			return out, err
		}
		here, metadata := *out, *out.KeyMetadata
		metadata.Arn, err = key.home(r, metadata.Arn)
		here.KeyMetadata = &metadata
		return &here, err
	})
}

// own makes a copy of bytes that the caller may change once it has its answer,
// when the call that lost the race may still be reading them.
func (c *Client) own(b *[]byte) {
	if c.opts.HedgeAfter > 0 {
		*b = bytes.Clone(*b)
	}
}

// GetPublicKey does what the method of *kms.Client does, and compares: it asks every
// Region that is not down, all at the same time, and returns the answer of the most
// preferred. It fails with [ErrKeyMismatch] if the Regions' public keys or key IDs
// differ, from each other or from what a Region answered before, and with the Region's
// refusal if any of them refuses: it would refuse in an outage
// of the others too. A Region that is not available is not compared. All are
// waited for, but none for longer than Options.AttemptTimeout or half of the time that
// ctx leaves.
func (c *Client) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	own := kms.GetPublicKeyInput{}
	if in != nil {
		own = *in
	}
	optFns = slices.Clip(optFns)
	const operation = "GetPublicKey"
	key, err := c.parse(operation, own.KeyId)
	if err != nil {
		return nil, err
	}
	answers, err := askAll(ctx, c, operation, func(ctx context.Context, r *region) (*kms.GetPublicKeyOutput, error) {
		there := own
		there.KeyId = key.in(r)
		out, err := r.Client.GetPublicKey(ctx, &there, optFns...)
		if err == nil && out == nil {
			err = errors.New("the client answered with neither an output nor an error")
		}
		if err != nil {
			return nil, err
		}
		here := *out
		here.KeyId, err = key.home(r, out.KeyId)
		return &here, err
	})
	if err != nil {
		return nil, err
	}
	if err := c.compare(answers); err != nil {
		return nil, fmt.Errorf("multiregion: %s: %w", operation, err)
	}
	return answers[0].out, nil
}

// compare reports the first difference between the Regions' keys, now or since
// the Client was made: the public key of a key ID is for life.
func (c *Client) compare(answers []answer[kms.GetPublicKeyOutput]) error {
	first := answers[0]
	for _, a := range answers[1:] {
		if x, y := aws.ToString(first.out.KeyId), aws.ToString(a.out.KeyId); x != y {
			return fmt.Errorf("%w: %s answered for %q and %s for %q", ErrKeyMismatch, first.Name, x, a.Name, y)
		}
		if !bytes.Equal(first.out.PublicKey, a.out.PublicKey) {
			return fmt.Errorf("%w: the public keys of %s and %s differ", ErrKeyMismatch, first.Name, a.Name)
		}
	}
	id := aws.ToString(first.out.KeyId)
	if id == "" || len(first.out.PublicKey) == 0 {
		return nil // a Signer refuses it; there is nothing to remember
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before, ok := c.seen[id]
	if ok && !bytes.Equal(before, first.out.PublicKey) {
		return fmt.Errorf("%w: the public key of %s is not the one that was answered before", ErrKeyMismatch, first.Name)
	}
	c.seen[id] = bytes.Clone(first.out.PublicKey)
	return nil
}

func (r *region) hmacClient() (kmssigner.HMACClient, error) {
	client, ok := r.Client.(kmssigner.HMACClient)
	if !ok {
		return nil, fmt.Errorf("the client is a %T, want a kmssigner.HMACClient", r.Client)
	}
	return client, nil
}
