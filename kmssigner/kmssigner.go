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
//   - RSA of 2048, 3072 and 4096 bits: RSASSA-PKCS1-v1_5, or, where the options
//     are an *rsa.PSSOptions, RSASSA-PSS (RFC 8017), over SHA-256, SHA-384 or
//     SHA-512. The PSS salt is as long as the hash: KMS makes no other, so
//     another length is refused, but for rsa.PSSSaltLengthAuto, which leaves the
//     choice to the signer.
//   - ECDSA (FIPS 186-5) with the one hash that KMS pairs with the curve: P-256
//     and secp256k1 with SHA-256, P-384 with SHA-384, P-521 with SHA-512.
//     Signatures are DER, as everywhere in the standard library, and S may be in
//     the upper half of its range; package derconv turns them into what others
//     want, and package jwtkms does so in golang-jwt tokens.
//   - Ed25519 (RFC 8032), pure: options with HashFunc 0, such as crypto.Hash(0)
//     or &ed25519.Options{}. KMS makes no Ed25519ctx, and its Ed25519ph hashes
//     the digest once more than others do, so both are refused. Messages have 1
//     to 4096 bytes.
//   - ML-DSA-44, ML-DSA-65 and ML-DSA-87 (FIPS 204), pure and hedged: options
//     with HashFunc 0, a context string in the Options of filippo.io/mldsa
//     included, or its HashFunc value MLDSAMu for a mu of the caller's own.
//
// For HMAC keys see [NewHMAC]: they are no crypto.Signer. All other keys are
// refused with [ErrUnsupportedKey].
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
// signature is verified with the public key before it is returned. (One cannot
// be: a signature over a mu that the caller computed, for want of the message.)
//
// # Cancelling
//
// crypto.Signer has no context, so [Signer.WithContext] binds one to a copy of
// the Signer. A call whose context has no deadline ends after [Options.Timeout].
//
// # Permissions
//
// kms:Sign and kms:GetPublicKey on the key; kms:Sign alone where the public key
// is supplied ([Options.PublicKey]). An [HMAC] needs kms:DescribeKey, and
// kms:GenerateMac and kms:VerifyMac as used.
//
// To test without AWS, see package kmstest.
package kmssigner

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
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

// Options change what [New] and [NewHMAC] and what they return do. The zero
// value is what most callers want.
type Options struct {
	// PublicKey is the public key of the KMS key, of a type that
	// [Signer.Public] returns, for a service that has it on file: New then
	// makes no call, works while KMS is away, and kms:Sign is the only
	// permission needed. The key ID given to New must then be a full key ARN, because
	// only an ARN tells from KMS's answers that the public key and the signing
	// key are still the same. A wrong public key shows at the first signature
	// ([ErrBadSignature]), not in New. Nil means: ask KMS. NewHMAC refuses it.
	PublicKey crypto.PublicKey

	// GrantTokens go into every request, so that a grant is honoured before it
	// has reached all of KMS. KMS takes at most ten. Nil means none.
	GrantTokens []string

	// Timeout bounds each call, the SDK's retries included, whose context has
	// no deadline of its own: the SDK sets no limit on waiting for an answer,
	// and most callers of a crypto.Signer have no way to pass a context. Zero
	// means ten seconds, which leaves room for the default retryer's three
	// attempts and the up to two and up to four seconds between them; package
	// kmsclient says how to choose both. A negative Timeout means no limit.
	Timeout time.Duration

	// PreferRaw makes SignMessage send the message itself (MessageType RAW),
	// for IAM policies with kms:MessageType and for emulators that demand it,
	// where KMS takes it: 1 to 4096 bytes. Other messages, and all that reach
	// Sign, which is given a digest and nothing else, are sent hashed
	// (MessageType DIGEST). False means DIGEST always. Both make the same
	// signatures. It is for RSA and ECDSA: Ed25519 is always RAW, and ML-DSA is
	// RAW unless the message is empty, too long or has a context.
	PreferRaw bool

	// KeepAlias makes every request name the key just as it was named to New,
	// for IAM policies with kms:RequestAlias, which only match a request that
	// names the alias. False means that the pinned key ARN is sent. Either way
	// KMS's answer must name the pinned key: once the alias is re-pointed,
	// signing fails with [ErrKeyChanged]. (KMS's no to a MAC does not name the key.
	// So an HMAC with KeepAlias asks DescribeKey whose no it was.)
	KeepAlias bool

	// SkipVerification leaves out the last check of each signature, verifying
	// it with the public key. It saves the time of one verification per signature,
	// little beside the network call. On one core of an AMD EPYC with Go 1.26 that
	// was, in milliseconds ("go test -run '^$' -bench Sign ./kmssigner" has the
	// figures of yours):
	//
	//	RSA 2048   0.02        P-256      0.05
	//	Ed25519    0.04        secp256k1  0.1
	//	ML-DSA-44  0.09        P-384      0.4
	//	                       P-521      1.4
	//
	// The presence, length and
	// encoding of a signature are checked all the same, and ML-DSA signatures with a
	// context are verified all the same. It means nothing to an HMAC.
	SkipVerification bool

	// ClientOptions go with every call to the client, after its own options,
	// for example to change the Region, the retryer or the middleware stack.
	ClientOptions []func(*kms.Options)
}

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
	target
	client  Client
	public  crypto.PublicKey
	schemes []scheme
}

// New returns a Signer for the KMS key named by keyID: a key ID, a key ARN, an
// alias name ("alias/token-signing") or an alias ARN. It is passed on untouched,
// so whatever KMS takes will do, multi-Region keys, other accounts' keys and
// every partition included; note that KMS looks only in the client's Region.
//
// New makes one GetPublicKey call, unless [Options.PublicKey] is set, and fails
// where the key could not sign: with [ErrUnsupportedKey] for a key that is not for
// signing or of a kind that this package does not know, with [ErrKeyChanged] if KMS
// answers for another key, with the SDK's error where KMS refuses. A Signer from
// New does not prove that Sign will work: KMS hands out the public key of a
// disabled key as well, and GetPublicKey is another permission than Sign.
//
// ctx serves New alone; to bind one to signatures, see [Signer.WithContext].
func New(ctx context.Context, client Client, keyID string, optFns ...func(*Options)) (*Signer, error) {
	k := &key{target: newTarget(keyID, optFns), client: client}
	var err error
	switch {
	case client == nil:
		err = errors.New("client is nil")
	case keyID == "":
		err = errNoKeyID
	case k.opts.PublicKey != nil:
		err = k.adopt(k.opts.PublicKey)
	default:
		err = k.fetch(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("kmssigner: new signer for %q: %w", keyID, err)
	}
	return &Signer{key: k}, nil
}

// fetch learns the key from KMS.
func (k *key) fetch(ctx context.Context) error {
	ctx, cancel := k.bound(ctx)
	defer cancel()
	out, err := k.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{
		KeyId:       aws.String(k.asked),
		GrantTokens: k.opts.GrantTokens,
	}, k.opts.ClientOptions...)
	if err != nil {
		err = explain(ctx, err)
		if _, ok := errors.AsType[*types.UnsupportedOperationException](err); ok {
			return fmt.Errorf("%w: KMS has no public key for it: it is a symmetric or an HMAC key; for the latter see NewHMAC: %w",
				ErrUnsupportedKey, err)
		}
		return err
	}
	if out == nil {
		return errors.New("the client answered GetPublicKey with neither an output nor an error")
	}
	if err := k.pin(aws.ToString(out.KeyId)); err != nil {
		return err
	}
	k.public, k.schemes, err = checkAnswer(out)
	return err
}

// adopt takes the key from the caller.
func (k *key) adopt(pub crypto.PublicKey) error {
	parsed, err := arn.Parse(k.asked)
	id, isKey := strings.CutPrefix(parsed.Resource, "key/")
	if err != nil || parsed.Partition == "" || parsed.Service != "kms" || parsed.Region == "" || parsed.AccountID == "" ||
		!isKey || id == "" || strings.Contains(id, "/") {
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
	k.public, k.schemes = public, schemes[spec]
	return k.pin(k.asked)
}

// Public returns the public key: an *rsa.PublicKey, an *ecdsa.PublicKey (one on
// secp256k1 has the curve of github.com/decred/dcrd/dcrec/secp256k1/v4), an
// ed25519.PublicKey or, from filippo.io/mldsa, an *mldsa.PublicKey. All have a
// method Equal. It is the same on every call and never asks KMS. It must not be
// modified.
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

// Sign signs a digest, as long as the hash that opts name, or, for Ed25519 and
// ML-DSA, the message itself. The options, and what is refused, are described in
// the package comment. It returns the signature: DER for ECDSA keys, the bytes of
// RFC 8017, RFC 8032 and FIPS 204 for the others. The first argument is ignored:
// KMS has its own randomness.
//
// Sign makes one Sign call to KMS, charged by AWS, and none if it refuses its
// arguments. It fails with [ErrMessageLength], [ErrKeyChanged] or
// [ErrBadSignature] as described there, and with the SDK's error if KMS refuses.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(digest, true, opts)
}

// SignMessage signs msg with the same options, cost and errors as Sign. It
// hashes with the hash that opts name, if any, so msg has no limit of length but
// for Ed25519. [Options.PreferRaw] leaves the hashing of short messages to KMS.
func (s *Signer) SignMessage(_ io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(msg, false, opts)
}

// sign decides what to ask for, asks, and checks the answer.
func (s *Signer) sign(input []byte, isDigest bool, opts crypto.SignerOpts) ([]byte, error) {
	k := s.key
	r, err := k.newRequest(input, isDigest, opts)
	if err != nil {
		return nil, k.wrap(err)
	}
	ctx, cancel := k.bound(s.ctx)
	defer cancel()
	// The key ID of this request alone: middleware may change what it points to.
	// Together they are one allocation.
	call := struct {
		in    kms.SignInput
		keyID string
	}{keyID: k.request}
	call.in = kms.SignInput{
		KeyId:            &call.keyID,
		Message:          r.message,
		MessageType:      r.messageType,
		SigningAlgorithm: r.algorithm,
		GrantTokens:      k.opts.GrantTokens,
	}
	out, err := k.client.Sign(ctx, &call.in, k.opts.ClientOptions...)
	if err != nil {
		return nil, k.wrap(explain(ctx, err))
	}
	if err := k.check(r, out); err != nil {
		return nil, k.wrap(err)
	}
	return out.Signature, nil
}

// check holds KMS's answer against what was asked. The SDK reports an empty
// answer with status 200 as a success, so even presence is not given.
func (k *key) check(r request, out *kms.SignOutput) error {
	if out == nil {
		return fmt.Errorf("%w: the client answered with neither an output nor an error", ErrBadSignature)
	}
	if len(out.Signature) == 0 {
		return answerError(ErrBadSignature, out.ResultMetadata, "it is empty")
	}
	switch answered := aws.ToString(out.KeyId); {
	case answered == "":
		return answerError(ErrBadSignature, out.ResultMetadata, "KMS does not say with which key it signed")
	case !sameKey(k.arn, answered):
		return answerError(ErrKeyChanged, out.ResultMetadata, "KMS signed with %q", answered)
	}
	if out.SigningAlgorithm != r.algorithm {
		return answerError(ErrBadSignature, out.ResultMetadata, "it is by the algorithm %q, want %q",
			out.SigningAlgorithm, r.algorithm)
	}
	if err := checkForm(k.public, out.Signature); err != nil {
		return answerError(ErrBadSignature, out.ResultMetadata, "%w", err)
	}
	// KMS signs whatever mu it is given: only verifying shows that the context is in it.
	if (r.context != "" || !k.opts.SkipVerification) && !r.verify(k.public, out.Signature) {
		return answerError(ErrBadSignature, out.ResultMetadata, "it does not verify with the public key")
	}
	return nil
}

func (k *key) wrap(err error) error {
	return fmt.Errorf("kmssigner: sign with %q: %w", k.arn, err)
}
