package kmssigner

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Sign signs digest, the hash of a message by the hash function that opts
// names. For Ed25519 and ML-DSA keys, digest is the message itself. The package
// comment lists the options of each type of key. The first argument is ignored,
// because KMS has its own source of randomness.
//
// Sign returns the signature: DER for ECDSA keys, and the bytes that RFC 8017,
// RFC 8032 and FIPS 204 define for RSA, Ed25519 and ML-DSA keys.
//
// Sign makes one Sign call to KMS, for which AWS charges. It makes no call if
// it returns an error about its arguments, such as [ErrMessageLength]. It
// returns [ErrKeyChanged] if KMS answers for another key, [ErrBadSignature] if
// the signature does not verify, and the SDK's error if KMS refuses to sign.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(input{data: digest, isDigest: true}, opts)
}

// SignMessage signs msg. It hashes msg with the hash function that opts names,
// if any, so msg may have any length except with an Ed25519 key. With
// [Options.PreferRaw], KMS hashes short messages instead. Options, result, cost
// and errors are those of [Signer.Sign].
func (s *Signer) SignMessage(_ io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(input{data: msg}, opts)
}

// An input is what a caller wants signed, and how.
type input struct {
	data      []byte
	isDigest  bool // data is a digest if opts name a hash
	opts      signOptions
	preferRaw bool
}

// A request is what KMS is asked to sign, and what its answer is checked
// against.
type request struct {
	algorithm   types.SigningAlgorithmSpec
	hash        crypto.Hash // of algorithm; 0 if it signs the message itself
	messageType types.MessageType
	message     []byte // sent to KMS

	signed     []byte      // what the signature is over: a digest if opts name a hash
	opts       signOptions // what the signature is verified with
	signedMu   bool        // signed is an ML-DSA mu
	mustVerify bool        // even with Options.SkipVerification
}

// sign makes a signature: it prepares the request, calls KMS and checks the
// answer.
func (s *Signer) sign(in input, opts crypto.SignerOpts) ([]byte, error) {
	if s == nil || s.key == nil {
		return nil, errors.New("kmssigner: sign: the Signer has no key, want one made by New")
	}
	k := s.key
	r, err := k.newRequest(in, opts)
	if err != nil {
		return nil, k.signError(err)
	}
	ctx, cancel := k.withTimeout(s.ctx)
	defer cancel()
	// Middleware may change what the key ID points to, so each request has its
	// own. Together they are one allocation.
	call := struct {
		in    kms.SignInput
		keyID string
	}{keyID: k.requestID}
	call.in = kms.SignInput{
		KeyId:            &call.keyID,
		Message:          r.message,
		MessageType:      r.messageType,
		SigningAlgorithm: r.algorithm,
		GrantTokens:      k.GrantTokens,
	}
	var out *kms.SignOutput
	if k.checker == nil {
		out, err = k.ask(ctx, r, &call.in)
	} else {
		out, err = k.askChecked(ctx, r, &call.in)
	}
	if err != nil {
		return nil, k.signError(err)
	}
	return out.Signature, nil
}

// ask makes the Sign call and checks its answer. For a client of several
// Regions, see askChecked.
func (k *key) ask(ctx context.Context, r request, in *kms.SignInput) (*kms.SignOutput, error) {
	out, err := k.client.Sign(ctx, in, k.ClientOptions...)
	if err != nil {
		return nil, k.callError(ctx, err)
	}
	return out, k.checkSignature(r, out)
}

// newRequest returns the request for in. It returns an error if no algorithm
// that KMS lists for the key does what opts ask for.
func (k *key) newRequest(in input, opts crypto.SignerOpts) (request, error) {
	var err error
	if in.opts, err = readOptions(opts); err != nil {
		return request{}, err
	}
	in.preferRaw = k.preferRaw
	r, err := k.prepare(in)
	if err == nil && !slices.Contains(k.usable, r.algorithm) {
		err = in.opts.refuse(fmt.Sprintf("the key signs with %s", k.usable))
	}
	return r, err
}

// checkSignature returns an error unless out is a good answer to r.
func (k *key) checkSignature(r request, out *kms.SignOutput) error {
	if out == nil {
		return errNoAnswer
	}
	err := k.checkAnswer(answer{
		empty:     len(out.Signature) == 0,
		keyID:     out.KeyId,
		algorithm: string(out.SigningAlgorithm),
		metadata:  out.ResultMetadata,
	}, string(r.algorithm))
	if err != nil {
		return err
	}
	if err := k.checkForm(out.Signature); err != nil {
		return answerError(ErrBadSignature, out.ResultMetadata, "%w", err)
	}
	if (r.mustVerify || !k.skipVerification) && !k.verify(r, out.Signature) {
		return answerError(ErrBadSignature, out.ResultMetadata, k.whyInvalid(r, out.Signature))
	}
	return nil
}

// whyInvalid says what is known about a signature that does not verify.
func (k *key) whyInvalid(r request, sig []byte) string {
	if r.messageType == types.MessageTypeDigest {
		r.signed = appendSum(nil, r.hash, r.message)
		if k.verify(r, sig) {
			return "it is over the hash of the digest: this is an emulator that hashes a digest again, so set Options.PreferRaw and call SignMessage"
		}
	}
	return "it does not verify with the public key"
}

func (k *key) signError(err error) error {
	return fmt.Errorf("kmssigner: sign with %q: %w", k.arn, forLog(err))
}

// maxMessage is the size in bytes of the longest message that KMS takes. The
// shortest has one byte.
const maxMessage = 4096

func fits(msg []byte) bool { return 1 <= len(msg) && len(msg) <= maxMessage }
