// Package multiregion signs with a multi-Region key of AWS KMS through several
// Regions, so that signing goes on while KMS is not available in one of them.
//
//	client, err := multiregion.New([]multiregion.Region{
//		{Client: kms.NewFromConfig(cfg, func(o *kms.Options) { o.Region = "eu-west-1" })},
//		{Client: kms.NewFromConfig(cfg, func(o *kms.Options) { o.Region = "eu-central-1" })},
//	})
//	...
//	signer, err := kmssigner.New(ctx, client, "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab")
//
// A multi-Region key has the same key ID and the same key material in every
// Region to which it was replicated. Each Region has its own ARN, key policy,
// aliases and state for the key. A [Client] implements [kmssigner.Client],
// [kmssigner.HMACClient] and the client interface of package keyring, so a
// Signer, an HMAC or a Ring uses it like the client of one Region.
//
// # Key names
//
// A Client replaces the Region in a key ARN or an alias ARN with the Region
// that it asks. Key IDs (mrk-...) and alias names are sent as they are. An
// answer must name the requested key in the Region that was asked. The Client
// replaces that Region in the answer's ARN with the Region of the caller's ARN,
// or with the first Region if the caller gave no ARN. The caller therefore sees
// one ARN, whichever Region answered. A key ID that does not begin with mrk- is
// refused with [kmssigner.ErrUnsupportedKey].
//
// An alias must exist in every Region and name the same key there. Moving an
// alias takes one UpdateAlias call in each Region. Until all are made,
// [Client.GetPublicKey] with that alias returns [ErrKeyMismatch]. The refresh
// of a Ring then fails, and the Ring keeps the keys that it has until a refresh
// succeeds.
//
// # When another Region is asked
//
// A call asks the first Region. If that Region is not available, it asks the
// next one, and so on, each Region once. Retries within a Region are those of
// the Region's own client.
//
// An answer counts as coming from KMS if it has an error code, or if it is a
// success with all members that the operation always returns. A Region is not
// available if
//
//   - KMS answers with a code for throttling, with KMSInternalException,
//     DependencyTimeoutException or KeyUnavailableException, or with status
//     5xx;
//   - the answer is not from KMS but, for example, a proxy's 403 or 407, a
//     redirect, an HTML page or an empty success;
//   - there is no connection, or it breaks;
//   - no answer comes in the Region's share of the time (see "Time" below).
//
// Every other error code is a refusal, including codes that this package does
// not know: AccessDeniedException, DisabledException, NotFoundException,
// DryRunOperationException, KMSInvalidMacException and the codes for bad
// signatures and credentials, for example. The call returns the refusal. No
// other Region is asked, and later calls still ask this Region first. An error
// of the SDK before it sends a request, such as missing credentials, is also a
// refusal.
//
// If no Region is available, the error names every Region asked, and
// [errors.Is] and [errors.As] find the causes of all of them.
//
// # Wrong answers
//
// If the signature of one Region does not verify and that of another Region
// does, the first Region is at fault. A Signer therefore calls
// [Client.SignChecked], which asks the next Region after such an answer. It
// does the same after an answer for another key, if the caller named the key by
// its ID or ARN. If the next Region's signature is right, it is returned, and
// the Region of the wrong answer is passed over (see "Regions that are passed
// over" below). If all answers are wrong, the call returns an error that wraps
// the error of each. No Region is then passed over, because a wrong public key
// is more likely than a fault in every Region.
//
// If the caller named the key by an alias, an answer for another key fails with
// [kmssigner.ErrKeyChanged] and no other Region is asked, because the alias may
// have been moved. For MACs, an answer for another key is always an error, and
// no other Region is asked.
//
// # Time
//
// A Region gets an equal share of the time that ctx leaves to the Regions not
// yet asked, and at most [Options.AttemptTimeout]. The last Region gets all the
// time that is left, unless it was passed over before. With two Regions and a
// Signer's default of ten seconds, a Region that does not answer costs the
// first call two seconds. Later calls pass it over.
//
// The back-off between the SDK's retries is part of a Region's time. By default
// it is up to two seconds before the first retry and up to four before the
// second. To fail over sooner, set RetryMaxAttempts to 2 and a short back-off
// (retry.AddWithMaxBackoffDelay) in each Region's client.
//
// If the clock of the machine is wrong by more than a few minutes, KMS refuses
// requests as badly signed. The SDK corrects this with its next attempt. A
// client without retries (aws.NopRetryer) returns the refusal, and no other
// Region is asked. Give each client at least one retry.
//
// # Regions that are passed over
//
// A Region that was not available is passed over, which means that it is asked
// only after all others have failed. After [Options.ProbeInterval], one call at
// a time asks the Region first, for at most one second, and then goes on to the
// others. The Region is no longer passed over once it answers. A throttled
// Region is passed over for one second, because the request quotas of KMS are
// per second. A Region is not passed over because the caller's own context has
// ended.
//
// A Region whose share was less than half a second and that did not answer in
// it counts as slow and not as unavailable, unless the share was
// AttemptTimeout. It also counts as slow if a hedge ([Options.HedgeAfter])
// answered first. A Region that is slow in ten calls in a row, begun at least
// 100 ms apart, is passed over. It may still be asked as a hedge.
//
// [Client.Down] and [Options.OnChange] tell which Regions are passed over.
// Nothing runs in the background. A Client calls KMS only while one of its
// methods is called. A hedge that was overtaken is cancelled, and may end
// shortly after the method has returned.
//
// # Calls and cost
//
// AWS charges for each call in each Region. Sign makes one call if the first
// Region answers. GetPublicKey, which a Signer calls once, and ListAliases ask
// every Region that is not passed over, and combine the answers. Each Region
// needs the permissions that package kmssigner lists, in its own key policy.
package multiregion

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/kmssigner"
)

// ErrKeyMismatch is returned by [Client.GetPublicKey], and so by kmssigner.New,
// if the Regions have different public keys for one key ID, or if an alias
// names different keys in them.
var ErrKeyMismatch = errors.New("the Regions have different keys")

// A Region describes one AWS Region that has the multi-Region key, as primary
// or replica, and the client that calls KMS there.
type Region struct {
	// Name is the name of the Region, such as "eu-west-1". It may be empty if
	// Client is a *kms.Client, which knows its Region.
	Name string

	// Client calls KMS in that Region. It must be safe for concurrent use, and
	// its calls must return when their context ends, as those of *kms.Client
	// do. For HMAC keys it must also be a kmssigner.HMACClient, and for
	// [Client.ListAliases] it must have that method.
	Client kmssigner.Client
}

// Options configures a [Client]. The zero value suits most callers.
type Options struct {
	// AttemptTimeout is the longest time that a Region gets while there is
	// another Region to ask, including the retries of its client. If ctx has no
	// deadline, it also limits the last Region. Zero means two seconds. A
	// negative AttemptTimeout means no limit other than the Region's share of
	// the deadline of ctx, if ctx has one.
	AttemptTimeout time.Duration

	// ProbeInterval is how long a Region that was not available is passed over
	// before one call tries it again. Zero means ten seconds.
	ProbeInterval time.Duration

	// HedgeAfter, if not zero, is how long a call waits for a Region before it
	// asks a second one at the same time. The first answer is taken, and the
	// other call is cancelled. Hedging shortens the slowest calls. Each hedge
	// is charged as another call. If HedgeAfter is the 99th percentile of the
	// usual latency, hedging adds 1 % to the calls. A refusal by the Region
	// that was asked first is final. A refusal by the second is kept until the
	// first answers.
	HedgeAfter time.Duration

	// Spread makes the Regions that are not passed over take turns at being the
	// first, because each Region has its own request quota. The price is the
	// latency of the farthest Region. False means that the first Region is
	// preferred.
	Spread bool

	// OnChange, if not nil, is called when a Region begins to be passed over,
	// with the error that was the reason, and when the Region is back, with
	// nil. It is called by the call to KMS that found out, so it should return
	// quickly, and it may be called from several goroutines at the same time.
	// It may call [Client.Down], which has the current state.
	OnChange func(region string, err error)
}

const (
	defaultAttemptTimeout = 2 * time.Second
	defaultProbeInterval  = 10 * time.Second
)

// A Client calls KMS in one of several Regions. It is safe for concurrent use.
// Make one with [New] and share it, because all callers profit from what it
// learns about the Regions. The methods of a nil or zero Client return an
// error.
//
// Options of single calls, such as [kmssigner.Options.ClientOptions], are
// passed to the client of the Region that is asked. They must not set a Region
// or an endpoint. With [Options.HedgeAfter] they must be safe for concurrent
// use.
type Client struct {
	opts    Options
	regions []*region

	mu         sync.Mutex        // guards the fields below and each region's health
	turn       int               // index of the Region whose turn is next, with Options.Spread
	publicKeys map[string][]byte // the SubjectPublicKeyInfo answered for each key ID
}

var (
	_ kmssigner.Client     = (*Client)(nil)
	_ kmssigner.HMACClient = (*Client)(nil)
)

// New returns a Client for the given Regions, the preferred one first. It makes
// no calls. It fails if there are no Regions, if one has no name or no client,
// if a name occurs twice, or if a *kms.Client is for another Region than its
// name says.
func New(regions []Region, optFns ...func(*Options)) (*Client, error) {
	c := &Client{publicKeys: map[string][]byte{}}
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
		return nil, fmt.Errorf("multiregion: Options.ProbeInterval is %v and Options.HedgeAfter is %v, want neither negative",
			c.opts.ProbeInterval, c.opts.HedgeAfter)
	}
	if len(regions) == 0 {
		return nil, errors.New("multiregion: there are no Regions")
	}
	for i, r := range regions {
		client, isSDK := r.Client.(*kms.Client)
		if r.Client == nil || isSDK && client == nil {
			return nil, fmt.Errorf("multiregion: Region %d (%q) has no client", i, r.Name)
		}
		if isSDK {
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
			return nil, fmt.Errorf("multiregion: Region %q is listed twice", r.Name)
		}
		c.regions = append(c.regions, &region{Region: r})
	}
	return c, nil
}

// Down returns the names of the Regions that are passed over at the moment, in
// the order of New, for metrics and health checks. It makes no calls.
func (c *Client) Down() []string {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, r := range c.regions {
		if r.health.down() {
			names = append(names, r.Name)
		}
	}
	return names
}
