// Package kmssigner implements [crypto.Signer] with an asymmetric key in AWS
// KMS. A Signer works wherever the standard library or another package takes a
// crypto.Signer: JWTs, TLS, X.509 certificates and requests, SSH certificates.
// The private key never leaves KMS.
//
//	client := kms.NewFromConfig(cfg)
//	signer, err := kmssigner.New(ctx, client, "alias/token-signing")
//	...
//	sig, err := signer.Sign(nil, digest[:], crypto.SHA256)
//
// # Keys and algorithms
//
//   - RSA keys of 2048, 3072 and 4096 bits sign with RSASSA-PKCS1-v1_5, or with
//     RSASSA-PSS if the options are an *rsa.PSSOptions (RFC 8017). The hash is
//     SHA-256, SHA-384 or SHA-512. KMS makes the PSS salt as long as the hash.
//     An option that asks for another length is refused, except
//     rsa.PSSSaltLengthAuto, which lets the signer choose.
//   - ECDSA keys on P-256, P-384, P-521 and secp256k1 (FIPS 186-5) sign digests
//     by any SHA-2 or SHA-3 hash (see "Hashes of ECDSA keys" below). Sign, but
//     not SignMessage, also accepts nil options if the digest has 32 bytes for
//     P-256 and secp256k1, 48 for P-384 or 64 for P-521. All other keys need
//     options. Signatures are DER, as those of crypto/ecdsa are, and S may be
//     in the upper half of its range. Package derconv converts them to other
//     forms. Package jwtkms does so in golang-jwt tokens.
//   - Ed25519 keys sign with pure Ed25519 (RFC 8032). The options must have
//     HashFunc 0, such as crypto.Hash(0) or &ed25519.Options{}. Messages have 1
//     to 4096 bytes. KMS does not implement Ed25519ctx, and its Ed25519ph
//     hashes the digest one more time than other implementations do, so both
//     are refused.
//   - ML-DSA-44, ML-DSA-65 and ML-DSA-87 keys sign with pure, hedged ML-DSA
//     (FIPS 204). The options must have HashFunc 0. The options may be the
//     *mldsa.Options of filippo.io/mldsa, which may have a context string. With
//     the options MLDSAMu of filippo.io/mldsa/mldsacrypto, Sign takes mu in
//     place of the message: the 64-byte hash of the public key, the context and
//     the message (FIPS 204 section 6.2).
//
// A Signer also implements [crypto.SignerOpts]. [Signer.HashFunc] returns the
// hash that goes with the key, so a Signer can be passed as its own options.
//
// An HMAC key has no public key and is not a crypto.Signer. Use [NewHMAC] for
// it. [New] returns [ErrUnsupportedKey] for HMAC keys and for every other type
// of key that is not in this list.
//
// # Hashes of ECDSA keys
//
// KMS pairs each curve with one hash: P-256 and secp256k1 with SHA-256, P-384
// with SHA-384, and P-521 with SHA-512. Other software combines curves and
// hashes freely. TLS 1.2 peers, for example, may want SHA-256 with any curve.
// An ECDSA signature is over the leftmost bits of the digest, taken as a number
// (FIPS 186-5 section 6.4.1), so a digest of another hash can be fitted to the
// length that KMS expects: a longer one is cut, and a shorter one is padded
// with zeros on the left. The signature is the same as one over the original
// digest, and it is verified against the original digest, even with
// [Options.SkipVerification]. SHA-1, MD5 and hashes outside SHA-2 and SHA-3 are
// refused.
//
// A fitted digest is sent with MessageType DIGEST, even with
// [Options.PreferRaw], and with the algorithm of the curve. CloudTrail and the
// IAM conditions kms:SigningAlgorithm and kms:MessageType therefore show
// ECDSA_SHA_384 and DIGEST for every such signature by a P-384 key, whichever
// hash it uses. If a policy requires RAW, KMS refuses to sign a fitted digest.
//
// # Calls and cost
//
// [New] makes one GetPublicKey call. Sign and SignMessage make one Sign call
// each. Nothing runs in the background, and neither Public nor verification
// calls KMS. AWS charges for each call and counts it against the request quota
// of the account in the Region. The SDK's retries are calls too. They are
// configured on the client, and this package adds no retries of its own. A
// client of package multiregion makes another call, in another Region, if a
// Region is not available or its signature does not verify.
//
// # The key is pinned
//
// [New] keeps the public key together with the ARN of its key. All requests
// name that ARN, except with [Options.KeepAlias]. If an alias is later pointed
// to another key, existing Signers keep the old key. With KeepAlias, they fail
// with [ErrKeyChanged]. To follow the alias, make a new Signer.
//
// # What is checked
//
// A request that KMS would refuse, or would answer with another kind of
// signature than the options ask for, is refused without a call. Every answer
// is checked: it must name the pinned key and the algorithm, have the right
// form, and verify with the public key. There are two exceptions. A signature
// over a mu that the caller computed cannot be verified, because the message is
// unknown. Other signatures are not verified with [Options.SkipVerification],
// unless that option says otherwise.
//
// # Cancellation
//
// The methods of crypto.Signer take no context. [Signer.WithContext] returns a
// copy of the Signer that uses one. A call whose context has no deadline ends
// after [Options.Timeout].
//
// # Permissions
//
// A Signer needs kms:GetPublicKey and kms:Sign on the key, or kms:Sign alone if
// [Options.PublicKey] is set. An [HMAC] needs kms:DescribeKey. Its Generate
// needs kms:GenerateMac, and its Verify needs kms:VerifyMac.
//
// # Testing
//
// Package kmstest is a fake KMS for tests without AWS.
package kmssigner

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Client is the part of the KMS API that a [Signer] calls. *kms.Client,
// *multiregion.Client and *kmstest.KMS implement it. Implementations must be
// safe for concurrent use.
type Client interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// Options configures [New]. The zero value is the right choice for most
// callers.
type Options struct {
	// PublicKey is the public key of the KMS key, of a type that
	// [Signer.Public] returns. If it is not nil, New makes no call, works while
	// KMS is unreachable, and needs no permission other than kms:Sign.
	//
	// The key ID given to New must then be a full key ARN. KMS answers with the
	// key ARN, so only an ARN shows that the signing key is still the one that
	// the public key belongs to. If the public key belongs to another key, New
	// succeeds and every signature fails with [ErrBadSignature].
	//
	// If PublicKey is nil, New asks KMS for it.
	PublicKey crypto.PublicKey

	// GrantTokens are sent with every request, so that a grant is effective
	// before it has reached all of KMS. KMS accepts at most ten. Nil means
	// none.
	GrantTokens []string

	// Timeout limits each call, including the SDK's retries, if the context has
	// no deadline. By default the SDK waits for an answer without limit. Most
	// callers of a crypto.Signer cannot pass a context. Zero means ten seconds,
	// which leaves room for the three attempts of the default retryer and for
	// its pauses of up to two and up to four seconds. Package kmsclient
	// describes how to choose the timeout and the pauses. A negative Timeout
	// means no limit.
	Timeout time.Duration

	// PreferRaw is for RSA and ECDSA keys. It makes SignMessage send a message
	// of 1 to 4096 bytes itself (MessageType RAW) unless the digest must be
	// fitted. Some IAM policies with kms:MessageType and some emulators require
	// that. Longer and empty messages, and the digests given to Sign, are sent
	// as digests (MessageType DIGEST). If PreferRaw is false, all messages of
	// these keys are sent as digests. The signatures are the same. PreferRaw
	// has no effect on Ed25519 keys, which always use RAW, or on ML-DSA keys.
	// ML-DSA keys use RAW for messages of 1 to 4096 bytes without a context,
	// and EXTERNAL_MU for all others.
	PreferRaw bool

	// KeepAlias makes every request name the key by the key ID that was given
	// to New. IAM policies with kms:RequestAlias match only a request that
	// names the alias. If KeepAlias is false, requests name the pinned key ARN.
	// In both cases the answer must name the pinned key, so signing fails with
	// [ErrKeyChanged] once the alias points to another key.
	KeepAlias bool

	// SkipVerification turns off the verification of each signature with the
	// public key. Verification takes little time compared with the call. It
	// takes longest with a P-521 key ("go test -run '^$' -bench Sign
	// ./kmssigner" measures it). The presence, length and encoding of a
	// signature are still checked. ML-DSA signatures with a context and ECDSA
	// signatures over a fitted digest are still verified.
	SkipVerification bool

	// ClientOptions are passed to every call of the client, after the client's
	// own options. They can change the Region, the retryer or the middleware
	// stack.
	ClientOptions []func(*kms.Options)
}

// A Signer signs with one KMS key. It implements [crypto.Signer] and
// [crypto.MessageSigner]. It is safe for concurrent use. Use [New] to make a
// Signer. Sign and SignMessage return an error for a nil or zero Signer.
type Signer struct {
	key *key            // shared between copies and immutable
	ctx context.Context // nil means context.Background()
}

var (
	_ crypto.Signer        = (*Signer)(nil)
	_ crypto.MessageSigner = (*Signer)(nil)
	_ crypto.SignerOpts    = (*Signer)(nil)
	_ Client               = (*kms.Client)(nil)
)

// A key is what New learned about a KMS key.
type key struct {
	target
	keyType
	client           Client
	checker          signChecker                  // client, if it is one
	usable           []types.SigningAlgorithmSpec // of keyType's, those that KMS lists
	preferRaw        bool
	skipVerification bool
}

// New returns a Signer for the KMS key that keyID names: a key ID, a key ARN,
// an alias name such as "alias/token-signing", or an alias ARN. New passes
// keyID to KMS unchanged, so multi-Region keys, keys of other accounts and all
// partitions work. KMS looks for the key only in the Region of the client.
//
// New makes one GetPublicKey call, or none if [Options.PublicKey] is set. It
// returns [ErrUnsupportedKey] for a key that cannot sign or whose type this
// package does not know, [ErrKeyChanged] if KMS answers for another key, and
// the SDK's error if KMS refuses. A successful New does not guarantee that Sign
// will work: GetPublicKey works for a disabled key too and needs another
// permission.
//
// ctx is used only by New. [Signer.WithContext] sets the context of signatures.
func New(ctx context.Context, client Client, keyID string, optFns ...func(*Options)) (*Signer, error) {
	k, err := newKey(ctx, client, keyID, optFns)
	if err != nil {
		return nil, fmt.Errorf("kmssigner: new signer for %q: %w", keyID, forLog(err))
	}
	return &Signer{key: k}, nil
}

func newKey(ctx context.Context, client Client, keyID string, optFns []func(*Options)) (*key, error) {
	var o Options
	for _, fn := range optFns {
		fn(&o)
	}
	k := &key{
		target: newTarget(client, keyID, callOptions{
			GrantTokens:   o.GrantTokens,
			Timeout:       o.Timeout,
			KeepAlias:     o.KeepAlias,
			ClientOptions: o.ClientOptions,
		}),
		client:           client,
		preferRaw:        o.PreferRaw,
		skipVerification: o.SkipVerification,
	}
	if err := checkArguments(client, keyID); err != nil {
		return nil, err
	}
	k.checker, _ = client.(signChecker)
	if o.PublicKey != nil {
		return k, k.setPublicKey(o.PublicKey)
	}
	return k, k.fetchPublicKey(ctx)
}

// fetchPublicKey gets the public key and the ARN to pin from KMS.
func (k *key) fetchPublicKey(ctx context.Context) error {
	ctx, cancel := k.withTimeout(ctx)
	defer cancel()
	out, err := k.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{
		KeyId:       aws.String(k.givenID),
		GrantTokens: k.GrantTokens,
	}, k.ClientOptions...)
	if err != nil {
		err = k.callError(ctx, err)
		if _, ok := errors.AsType[*types.UnsupportedOperationException](err); ok {
			return fmt.Errorf("%w: KMS has no public key for it, because it is a symmetric or an HMAC key (for an HMAC key use NewHMAC): %w",
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
	k.keyType, k.usable, err = readPublicKey(out)
	return err
}

// setPublicKey uses the caller's public key, and pins the caller's ARN.
func (k *key) setPublicKey(pub crypto.PublicKey) error {
	if !isFullKeyARN(k.givenID) {
		return errors.New("with Options.PublicKey the key ID must be a full key ARN (arn:aws:kms:REGION:ACCOUNT:key/ID), " +
			"because only a key ARN in KMS's answers shows that the public key belongs to the signing key")
	}
	// Encode and parse the key. That applies the checks of a key from KMS, and
	// makes a copy that the caller cannot change.
	spki, err := marshalPKIX(pub)
	if err != nil {
		return fmt.Errorf("Options.PublicKey: %w", err)
	}
	if k.keyType, err = parsePKIX(spki); err != nil {
		return fmt.Errorf("Options.PublicKey: %w", err)
	}
	k.usable = k.algorithms()
	return k.pin(k.givenID)
}

// Public returns the public key: an *rsa.PublicKey, an *ecdsa.PublicKey, an
// ed25519.PublicKey, or an *mldsa.PublicKey of filippo.io/mldsa. The curve of a
// secp256k1 key is that of github.com/decred/dcrd/dcrec/secp256k1/v4. All these
// types have a method Equal. Public returns the same value on every call and
// does not call KMS. The caller must not modify the key. Public returns nil for
// a nil or zero Signer.
func (s *Signer) Public() crypto.PublicKey {
	if s == nil || s.key == nil {
		return nil
	}
	return s.key.public()
}

// KeyARN returns the ARN of the key that signs, as KMS answered it, whichever
// form of key ID was given to [New]. For an emulator that answers with a bare
// key ID, it returns that key ID. It returns "" for a nil or zero Signer.
// KeyARN does not call KMS.
func (s *Signer) KeyARN() string {
	if s == nil || s.key == nil {
		return ""
	}
	return s.key.arn
}

// HashFunc returns the hash function that goes with the key: SHA-256 for RSA,
// P-256 and secp256k1 keys, SHA-384 for P-384 keys, and SHA-512 for P-521 keys.
// It returns 0 for Ed25519 and ML-DSA keys, which sign the message itself, and
// for a nil or zero Signer. It does not call KMS.
//
// HashFunc makes a Signer its own [crypto.SignerOpts], so that
//
//	signer.SignMessage(nil, msg, signer)
//
// signs with any type of key. For an RSA key these options mean
// RSASSA-PKCS1-v1_5.
func (s *Signer) HashFunc() crypto.Hash {
	if s == nil || s.key == nil {
		return 0
	}
	return s.key.defaultHash()
}

// WithContext returns a copy of s whose Sign and SignMessage use ctx for
// cancellation and for values, such as a trace. If ctx has a deadline, it
// replaces [Options.Timeout]. s is unchanged, and both may be used
// concurrently.
//
//	token.SignedString(signer.WithContext(ctx))
//
// A type that embeds a *Signer in order to change Sign must override
// SignMessage too. Otherwise crypto/x509 and crypto/tls, which prefer
// SignMessage, call the method of the embedded Signer.
func (s *Signer) WithContext(ctx context.Context) *Signer {
	if s == nil {
		return nil
	}
	return &Signer{key: s.key, ctx: ctx}
}
