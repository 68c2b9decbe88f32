package main

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
)

// key is the KMS key that signs or verifies, and how.
type key struct {
	req    request
	client *recorder
	signer *kmssigner.Signer

	algorithm algorithm
	hash      crypto.Hash    // of what is signed; 0: the input itself is signed
	curve     elliptic.Curve // of an ECDSA key
}

// newKey makes one GetPublicKey call and checks that the key does what req asks
// for.
func newKey(ctx context.Context, client *kms.Client, keyID string, req request) (*key, error) {
	k := &key{req: req, client: &recorder{Client: client}}
	ctx, cancel := context.WithTimeout(ctx, req.timeout)
	defer cancel()
	var err error
	k.signer, err = kmssigner.New(ctx, k.client, keyID, func(o *kmssigner.Options) { o.PreferRaw = req.raw })
	if err != nil {
		return nil, err
	}
	pub := k.signer.Public()
	if k.algorithm, k.hash, err = choose(req, pub, k.client.usable); err != nil {
		return nil, err
	}
	if pub, ok := pub.(*ecdsa.PublicKey); ok {
		k.curve = pub.Curve
	}
	return k, nil
}

// A recorder keeps what a Signer does not tell of its calls.
type recorder struct {
	*kms.Client
	usable      []types.SigningAlgorithmSpec // of the key
	messageType types.MessageType            // of the last Sign call
	requestID   string                       // of the last Sign call
}

func (r *recorder) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	out, err := r.Client.GetPublicKey(ctx, in, optFns...)
	if err == nil {
		r.usable = out.SigningAlgorithms
	}
	return out, err
}

func (r *recorder) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	out, err := r.Client.Sign(ctx, in, optFns...)
	if err == nil {
		r.messageType = in.MessageType
		r.requestID, _ = awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	}
	return out, err
}

// signed is what a signature is over.
type signed struct {
	message []byte // nil if the algorithm hashes it and KMS is not sent it
	digest  []byte // nil if the algorithm does not hash the message
}

// read reads the input as the algorithm wants it.
func (k *key) read(ctx context.Context, in input) (signed, error) {
	var s signed
	var err error
	switch {
	case k.algorithm.name == types.SigningAlgorithmSpecEd25519Sha512:
		s.message, err = in.short(ctx, "for an Ed25519 key, which signs the input itself; a larger input can be hashed and the hash signed")
	case k.req.raw:
		if s.message, err = in.short(ctx, "with -raw"); err == nil && k.hash != 0 {
			h := k.hash.New()
			h.Write(s.message)
			s.digest = h.Sum(nil)
		}
	case k.hash == 0:
		s.message, err = in.whole(ctx)
	case k.req.digest:
		s.digest, err = in.digest(ctx, k.hash)
	default:
		s.digest, err = in.sum(ctx, k.hash)
	}
	return s, err
}

// sign makes one Sign call. The Signer verifies the signature.
func (k *key) sign(ctx context.Context, in input) (*report, error) {
	s, err := k.read(ctx, in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, k.req.timeout)
	defer cancel()
	start := time.Now()
	signer, opts := k.signer.WithContext(ctx), k.algorithm.signerOpts(k.hash)
	var sig []byte
	if s.message != nil {
		sig, err = signer.SignMessage(nil, s.message, opts)
	} else {
		sig, err = signer.Sign(nil, s.digest, opts)
	}
	if err != nil {
		return nil, err
	}
	rep := k.report(s)
	rep.took = time.Since(start)
	rep.MessageType, rep.RequestID = k.client.messageType, k.client.requestID
	if rep.encoded, err = k.req.format.encode(sig, k.curve); err != nil {
		return nil, err
	}
	asText := k.req.format
	asText.text = cmp.Or(asText.text, "base64")
	text, err := asText.encode(sig, k.curve)
	rep.Signature = strings.TrimSpace(string(text))
	return rep, err
}
