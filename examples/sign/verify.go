package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha3"
	"errors"
	"fmt"
	"time"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// verify returns an error unless given is a good signature over the input.
func (k *key) verify(ctx context.Context, in input, given []byte) (*report, error) {
	sig, err := k.req.format.decode(given, k.curve)
	if err != nil {
		return nil, err
	}
	s, err := k.read(ctx, in)
	if err != nil {
		return nil, err
	}
	rep := k.report(s)
	rep.Verified = "with the public key"
	start := time.Now()
	if k.req.remote {
		rep.Verified = "by KMS"
		rep.MessageType, rep.RequestID, err = k.askKMS(ctx, s, sig)
		rep.took = time.Since(start)
	} else if !k.valid(s, sig) {
		err = fmt.Errorf("the signature does not verify with the public key of %s, by %s", k.signer.KeyARN(), k.algorithm.name)
	}
	return rep, err
}

// valid reports whether sig verifies with the public key.
func (k *key) valid(s signed, sig []byte) bool {
	switch pub := k.signer.Public().(type) {
	case *rsa.PublicKey:
		if k.algorithm.pss() {
			return rsa.VerifyPSS(pub, k.hash, s.digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(pub, k.hash, s.digest, sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, s.digest, sig)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, s.message, sig)
	case *mldsa.PublicKey:
		return mldsa.Verify(pub, s.message, sig, &mldsa.Options{}) == nil
	}
	return false // a type that package kmssigner does not have
}

// askKMS makes one Verify call.
func (k *key) askKMS(ctx context.Context, s signed, sig []byte) (t types.MessageType, requestID string, err error) {
	in := &kms.VerifyInput{
		KeyId:            aws.String(k.signer.KeyARN()),
		SigningAlgorithm: k.algorithm.name,
		Signature:        sig,
	}
	in.MessageType, in.Message = k.forKMS(s)
	ctx, cancel := context.WithTimeout(ctx, k.req.timeout)
	defer cancel()
	out, err := k.client.Verify(ctx, in)
	if _, bad := errors.AsType[*types.KMSInvalidSignatureException](err); bad || err == nil && !out.SignatureValid {
		return "", "", fmt.Errorf("the signature does not verify: KMS says so of %s, by %s", k.signer.KeyARN(), k.algorithm.name)
	}
	if err != nil {
		return "", "", err
	}
	if got := aws.ToString(out.KeyId); got != k.signer.KeyARN() {
		return "", "", fmt.Errorf("KMS verified with another key: %q, want %q", got, k.signer.KeyARN())
	}
	requestID, _ = awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	return in.MessageType, requestID, nil
}

// forKMS returns the message of a Verify call.
func (k *key) forKMS(s signed) (types.MessageType, []byte) {
	pub, isMLDSA := k.signer.Public().(*mldsa.PublicKey)
	switch {
	case isMLDSA && (len(s.message) == 0 || len(s.message) > maxRaw):
		return types.MessageTypeExternalMu, externalMu(pub, s.message)
	case s.message != nil:
		return types.MessageTypeRaw, s.message
	}
	// Package kmssigner explains how ECDSA signs the digest of another hash.
	n := k.algorithm.hash.Size()
	padded := append(make([]byte, max(0, n-len(s.digest))), s.digest...)
	return types.MessageTypeDigest, padded[:n]
}

// externalMu returns the message representative of FIPS 204 algorithm 7, with
// an empty context, by which KMS verifies a message that is too long for it.
func externalMu(pub *mldsa.PublicKey, message []byte) []byte {
	h := sha3.NewSHAKE256()
	h.Write(sha3.SumSHAKE256(pub.Bytes(), 64))
	h.Write([]byte{0, 0})
	h.Write(message)
	mu := make([]byte, 64)
	h.Read(mu)
	return mu
}

// hashOf names a hash for the report.
func hashOf(hash crypto.Hash) string {
	if hash == 0 {
		return ""
	}
	return hash.String()
}
