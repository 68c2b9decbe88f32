// Package kmssigner makes a crypto.Signer of an asymmetric key in AWS KMS, for
// everything that takes one: JWTs, TLS, X.509 certificates and requests, SSH
// certificates. The private key never leaves KMS.
//
//	client := kms.NewFromConfig(cfg)
//	signer, err := kmssigner.New(ctx, client, "alias/token-signing")
//	...
//	sig, err := signer.Sign(nil, digest[:], crypto.SHA256)
//
// # Keys and algorithms
//
// RSA keys of 2048, 3072 and 4096 bits sign with RSASSA-PKCS1-v1_5, or, where
// the options are an *rsa.PSSOptions, with RSASSA-PSS (RFC 8017), over SHA-256,
// SHA-384 or SHA-512. The PSS salt is as long as the hash: KMS makes no other,
// so another length is refused, but for rsa.PSSSaltLengthAuto, which leaves the
// choice to the signer. ECDSA keys (FIPS 186-5) sign with the one hash that KMS
// pairs with their curve: P-256 with SHA-256, P-384 with SHA-384, P-521 with
// SHA-512. ECDSA signatures are DER, as everywhere in the standard library;
// package derconv turns them into what JOSE wants, and package jwtkms does so
// in golang-jwt tokens.
//
// # Calls and cost
//
// [New] makes one GetPublicKey call; Sign and SignMessage make one Sign call
// each, and that is all: nothing runs in the background, and Public and
// verification never reach the network. AWS charges each call and counts it
// against the account's request quota in the Region. The SDK's retries are
// calls too; they are those of the client's own retryer, and no other layer is
// added.
//
// # One key for life
//
// [New] keeps the public key together with the ARN of the key it belongs to,
// and signs by that ARN. An alias re-pointed later changes nothing for a Signer
// that exists: make a new one to follow it.
//
// # What is checked
//
// What KMS would refuse, or would make otherwise than the options ask, is
// refused before the call. No answer is believed: the key, the algorithm and
// the form of the signature are compared with what was asked, and the
// signature is verified with the public key before it is returned.
//
// # Cancelling
//
// crypto.Signer has no context, so [Signer.WithContext] binds one to a copy of
// the Signer. A call whose context has no deadline ends after [Options.Timeout].
//
// # Permissions
//
// kms:Sign and kms:GetPublicKey on the key; kms:Sign alone where the public key
// is supplied ([Options.PublicKey]).
//
// To test without AWS, see package kmstest.
package kmssigner

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Client is the part of the KMS API that a Signer calls. *kms.Client and
// *kmstest.KMS satisfy it. It must be safe for concurrent use, as they are.
type Client interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// Options change what [New] and the Signer it returns do. The zero value is
// what most callers want.
type Options struct {
	// PublicKey is the public key of the KMS key, an *ecdsa.PublicKey or an
	// *rsa.PublicKey, for a service that has it on file: New then makes no
	// call, works while KMS is away, and kms:Sign is the only permission
	// needed. The key ID given to New must then be a full key ARN, because
	// only an ARN tells from KMS's answers that the public key and the signing
	// key are still the same. A wrong public key shows at the first signature
	// ([ErrBadSignature]), not in New. Nil means: ask KMS.
	PublicKey crypto.PublicKey

	// GrantTokens go into every request, so that a grant is honoured before it
	// has reached all of KMS. KMS takes at most ten. Nil means none.
	GrantTokens []string

	// Timeout bounds each call, the SDK's retries included, whose context has
	// no deadline of its own: the SDK sets no limit on waiting for an answer,
	// and most callers of a crypto.Signer have no way to pass a context. Zero
	// means ten seconds, which leaves room for the default retryer's three
	// attempts and the up to two and up to four seconds between them. A
	// negative Timeout means no limit.
	Timeout time.Duration

	// PreferRaw makes SignMessage send the message itself (MessageType RAW),
	// for IAM policies with kms:MessageType and for emulators that demand it,
	// where KMS takes it: 1 to 4096 bytes. Other messages, and all that reach
	// Sign, which is given a digest and nothing else, are sent hashed
	// (MessageType DIGEST). False means DIGEST always. Both make the same
	// signatures.
	PreferRaw bool

	// KeepAlias makes Sign send the key ID just as it was given to New, for
	// IAM policies with kms:RequestAlias, which only match a request that
	// names the alias. False means that the pinned key ARN is sent. Either way
	// KMS's answer must name the pinned key: once the alias is re-pointed,
	// signing fails with [ErrKeyChanged].
	KeepAlias bool

	// SkipVerification leaves out the last check of each signature, verifying
	// it with the public key. It saves about the time of one verification per
	// signature, little beside the network call. The presence, length and
	// encoding of a signature are checked all the same.
	SkipVerification bool

	// ClientOptions go with every call to the client, after its own options,
	// for example to change the Region, the retryer or the middleware stack.
	ClientOptions []func(*kms.Options)
}

// defaultTimeout is what a zero Options.Timeout means.
const defaultTimeout = 10 * time.Second

// maxRaw is how many bytes KMS takes as a message.
const maxRaw = 4096

// A Signer signs with one KMS key. It implements [crypto.Signer] and
// [crypto.MessageSigner]. It is safe for concurrent use. Make one with [New];
// the zero Signer has no key.
type Signer struct {
	key *key            // shared between copies, never changed
	ctx context.Context // nil means context.Background()
}

var (
	_ crypto.Signer        = (*Signer)(nil)
	_ crypto.MessageSigner = (*Signer)(nil)
	_ Client               = (*kms.Client)(nil)
)

// key is what New learnt, and what every signature needs.
type key struct {
	client  Client
	opts    Options
	arn     string // of the pinned key
	request string // the KeyId sent: arn, unless Options.KeepAlias
	public  crypto.PublicKey
	schemes []scheme
}

// New returns a Signer for the KMS key named by keyID: a key ID, a key ARN, an
// alias name ("alias/token-signing") or an alias ARN. It is passed on untouched,
// so whatever KMS takes will do, multi-Region keys, other accounts' keys and
// every partition included; note that KMS looks only in the client's Region.
//
// New makes one GetPublicKey call, unless [Options.PublicKey] is set, and fails
// where the key could not sign: with [ErrUnsupportedKey] for a key that is not
// for signing or of a kind that this package does not know, with the SDK's
// error where KMS refuses. A Signer from New does not prove that Sign will
// work: KMS hands out the public key of a disabled key as well, and GetPublicKey
// is another permission than Sign.
//
// ctx serves New alone; to bind one to signatures, see [Signer.WithContext].
func New(ctx context.Context, client Client, keyID string, optFns ...func(*Options)) (*Signer, error) {
	var opts Options
	for _, fn := range optFns {
		fn(&opts)
	}
	// Not the caller's slices: who appends to them later must not change us.
	opts.GrantTokens = slices.Clone(opts.GrantTokens)
	opts.ClientOptions = slices.Clone(opts.ClientOptions)

	k := &key{client: client, opts: opts}
	var err error
	switch {
	case client == nil:
		err = errors.New("client is nil")
	case keyID == "":
		err = errors.New("key ID is empty, want a key ID, key ARN, alias name or alias ARN")
	case opts.PublicKey != nil:
		err = k.adopt(keyID, opts.PublicKey)
	default:
		err = k.fetch(ctx, keyID)
	}
	if err != nil {
		return nil, fmt.Errorf("kmssigner: new signer for %q: %w", keyID, err)
	}
	k.request = k.arn
	if opts.KeepAlias {
		k.request = keyID
	}
	return &Signer{key: k}, nil
}

// fetch learns the key from KMS.
func (k *key) fetch(ctx context.Context, keyID string) error {
	ctx, cancel := k.bound(ctx)
	defer cancel()
	out, err := k.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{
		KeyId:       &keyID,
		GrantTokens: k.opts.GrantTokens,
	}, k.opts.ClientOptions...)
	switch {
	case err != nil:
		return explain(ctx, err)
	case out == nil:
		return errors.New("the client answered GetPublicKey with neither an output nor an error")
	}
	answered := aws.ToString(out.KeyId)
	switch {
	case answered == "" || isAlias(answered):
		return fmt.Errorf("KMS answered GetPublicKey for the key %q, want a key ARN", answered)
	case !isAlias(keyID) && !sameKey(keyID, answered):
		return fmt.Errorf("%w: KMS answered GetPublicKey for %q", ErrKeyChanged, answered)
	}
	k.arn = answered
	if arn.IsARN(keyID) && !isAlias(keyID) {
		k.arn = keyID // the same key; an emulator's answer may be the bare ID
	}
	k.public, k.schemes, err = checkAnswer(out)
	return err
}

// adopt takes the key from the caller.
func (k *key) adopt(keyID string, pub crypto.PublicKey) error {
	parsed, err := arn.Parse(keyID)
	if err != nil || parsed.Service != "kms" || !strings.HasPrefix(parsed.Resource, "key/") {
		return errors.New("with Options.PublicKey the key ID must be a full key ARN (arn:aws:kms:REGION:ACCOUNT:key/ID): " +
			"KMS answers with it, and so shows that it signed with the key that the public key belongs to")
	}
	spki, err := marshalPublicKey(pub)
	if err != nil {
		return fmt.Errorf("Options.PublicKey: %w", err)
	}
	// Through the encoding and back: what KMS's own answer goes through, and a
	// copy that the caller cannot change.
	public, spec, err := parsePublicKey(spki)
	if err != nil {
		return fmt.Errorf("Options.PublicKey: %w", err)
	}
	k.arn, k.public, k.schemes = keyID, public, schemes[spec]
	return nil
}

// Public returns the public key: an *ecdsa.PublicKey or an *rsa.PublicKey. It
// is the same on every call and never asks KMS. It must not be modified.
func (s *Signer) Public() crypto.PublicKey {
	return s.key.public
}

// KeyARN returns the ARN of the key that signs, as KMS answered it, whatever
// form of key ID was given to [New]. (Of an emulator that answers with a bare
// key ID it is that key ID.) It never asks KMS.
func (s *Signer) KeyARN() string {
	return s.key.arn
}

// WithContext returns a copy of s whose Sign and SignMessage use ctx: its
// cancellation, its deadline, which replaces [Options.Timeout], and its values,
// such as a trace. s is unchanged, and both may be used at the same time.
//
//	token.SignedString(signer.WithContext(ctx))
func (s *Signer) WithContext(ctx context.Context) *Signer {
	return &Signer{key: s.key, ctx: ctx}
}

// Sign signs a digest and returns the signature: DER for ECDSA keys, the bytes
// of RFC 8017 for RSA keys. digest must be as long as the hash that opts name.
// The options, and what is refused, are described in the package comment. The
// first argument is ignored: KMS has its own randomness.
//
// Sign makes one Sign call to KMS, charged by AWS, and none if it refuses its
// arguments. It fails with [ErrKeyChanged] or [ErrBadSignature] if KMS's answer
// does not hold what was asked for, and with the SDK's error if KMS refuses.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sch, err := chooseScheme(s.key.schemes, opts)
	if err == nil && len(digest) != sch.hash.Size() {
		err = fmt.Errorf("digest has %d bytes, want %d, the length of %v", len(digest), sch.hash.Size(), sch.hash)
	}
	if err != nil {
		return nil, s.key.wrap(err)
	}
	return s.sign(sch, types.MessageTypeDigest, digest, digest)
}

// SignMessage hashes msg, of any length, with the hash that opts name, and
// signs as Sign does, with the same options, cost and errors. [Options.PreferRaw]
// leaves the hashing of short messages to KMS.
func (s *Signer) SignMessage(_ io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	sch, err := chooseScheme(s.key.schemes, opts)
	if err != nil {
		return nil, s.key.wrap(err)
	}
	digest := sch.digest(msg)
	if s.key.opts.PreferRaw && 1 <= len(msg) && len(msg) <= maxRaw {
		return s.sign(sch, types.MessageTypeRaw, msg, digest)
	}
	return s.sign(sch, types.MessageTypeDigest, digest, digest)
}

// sign makes the call and checks the answer. message is what KMS gets, digest
// what the signature is over.
func (s *Signer) sign(sch scheme, messageType types.MessageType, message, digest []byte) ([]byte, error) {
	k := s.key
	ctx, cancel := k.bound(s.ctx)
	defer cancel()
	out, err := k.client.Sign(ctx, &kms.SignInput{
		KeyId:            &k.request,
		Message:          message,
		MessageType:      messageType,
		SigningAlgorithm: sch.algorithm,
		GrantTokens:      k.opts.GrantTokens,
	}, k.opts.ClientOptions...)
	if err != nil {
		return nil, k.wrap(explain(ctx, err))
	}
	if err := k.checkSignature(sch, digest, out); err != nil {
		return nil, k.wrap(err)
	}
	return out.Signature, nil
}

// checkSignature holds KMS's answer against what was asked. The SDK reports an
// empty answer with status 200 as a success, so even presence is not given.
func (k *key) checkSignature(sch scheme, digest []byte, out *kms.SignOutput) error {
	if out == nil {
		return fmt.Errorf("%w: the client answered with neither an output nor an error", ErrBadSignature)
	}
	if len(out.Signature) == 0 {
		return answerError(ErrBadSignature, out.ResultMetadata, "it is empty")
	}
	if answered := aws.ToString(out.KeyId); !sameKey(k.arn, answered) {
		return answerError(ErrKeyChanged, out.ResultMetadata, "KMS signed with %q", answered)
	}
	if out.SigningAlgorithm != sch.algorithm {
		return answerError(ErrBadSignature, out.ResultMetadata, "it is by the algorithm %q, want %q",
			out.SigningAlgorithm, sch.algorithm)
	}
	if err := sch.checkForm(k.public, out.Signature); err != nil {
		return answerError(ErrBadSignature, out.ResultMetadata, "%w", err)
	}
	if !k.opts.SkipVerification && !sch.verify(k.public, digest, out.Signature) {
		return answerError(ErrBadSignature, out.ResultMetadata, "it does not verify with the public key")
	}
	return nil
}

// bound gives ctx the default deadline if it has none.
func (k *key) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	timeout := k.opts.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	if _, ok := ctx.Deadline(); ok || timeout < 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf(
		"no answer within Options.Timeout, %v", timeout))
}

// explain adds to an error that the end of ctx caused why ctx ended: the
// caller never set the default deadline, and a cause set by the caller
// ([context.WithCancelCause]) says more than "canceled".
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && cause != ctx.Err() && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}

func (k *key) wrap(err error) error {
	return fmt.Errorf("kmssigner: sign with %q: %w", k.arn, err)
}

// sameKey reports whether a KeyId in an answer names the key that was asked
// for by its ID or ARN. KMS answers with the key ARN; of emulators that answer
// with the bare key ID only that part can be compared.
func sameKey(asked, answered string) bool {
	if arn.IsARN(asked) && arn.IsARN(answered) {
		return asked == answered
	}
	return bareKeyID(asked) == bareKeyID(answered)
}

// bareKeyID is the key ID within a key ARN, or id itself.
func bareKeyID(id string) string {
	if _, after, ok := strings.Cut(id, ":key/"); ok {
		return after
	}
	return id
}

// isAlias reports whether id is an alias name or an alias ARN.
func isAlias(id string) bool {
	return strings.HasPrefix(id, "alias/") || strings.Contains(id, ":alias/")
}
