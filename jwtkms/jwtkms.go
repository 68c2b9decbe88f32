// Package jwtkms lets golang-jwt sign tokens with any [crypto.Signer]: a key in
// AWS KMS through package kmssigner, a PKCS #11 token, a TPM, a plain
// *ecdsa.PrivateKey in a test.
//
//	token := jwt.NewWithClaims(jwtkms.ES256, claims)
//	token.Header["kid"] = kid
//	compact, err := token.SignedString(signer.WithContext(ctx))
//
// golang-jwt's own methods insist on private keys in memory. These take a
// Signer, check that its key is one that the algorithm may be used with, and
// turn the DER of an ECDSA signature into the fixed-width R‖S that JWS wants
// (RFC 7518 section 3.4).
//
// # Which method
//
// ES256, ES384 and ES512 go with keys on P-256, P-384 and P-521 respectively,
// and no other pairing is allowed. The RS and PS methods go with RSA keys of at
// least 2048 bits; PS signatures have a salt as long as the hash (RFC 7518
// section 3.5), and Verify accepts no other. [MethodFor] picks the method for a
// public key.
//
// # Verifying
//
// The tokens are ordinary: [jwt.Parse] with golang-jwt's own methods and the
// plain public key verifies them, and so does any JOSE library. Importing this
// package registers nothing, so parsing goes on as before. The Verify methods
// here are for callers who verify without a parser, and never call KMS.
//
// # Cost
//
// A token costs one signature of the Signer, so one Sign call of a KMS key.
// Hashing is done here, so a token may be of any size.
package jwtkms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // crypto.SignMessage hashes for signers that cannot
	_ "crypto/sha512"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/derconv"
)

// A SigningMethod is a [jwt.SigningMethod] for one JWS algorithm. It is
// immutable and safe for concurrent use.
type SigningMethod struct {
	opts  crypto.SignerOpts
	curve elliptic.Curve // nil for RSA
	// stock is golang-jwt's method of the same name: it verifies.
	stock jwt.SigningMethod
}

// The methods of RFC 7518 section 3.1 that sign with an asymmetric key.
var (
	ES256 = &SigningMethod{crypto.SHA256, elliptic.P256(), jwt.SigningMethodES256}
	ES384 = &SigningMethod{crypto.SHA384, elliptic.P384(), jwt.SigningMethodES384}
	ES512 = &SigningMethod{crypto.SHA512, elliptic.P521(), jwt.SigningMethodES512}

	RS256 = &SigningMethod{crypto.SHA256, nil, jwt.SigningMethodRS256}
	RS384 = &SigningMethod{crypto.SHA384, nil, jwt.SigningMethodRS384}
	RS512 = &SigningMethod{crypto.SHA512, nil, jwt.SigningMethodRS512}

	PS256 = newPS(jwt.SigningMethodPS256)
	PS384 = newPS(jwt.SigningMethodPS384)
	PS512 = newPS(jwt.SigningMethodPS512)
)

// newPS makes a PS method that verifies as strictly as it signs: golang-jwt's
// own takes a salt of any length when verifying, RFC 7518 section 3.5 allows
// one.
func newPS(lax *jwt.SigningMethodRSAPSS) *SigningMethod {
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: lax.Hash}
	strict := &jwt.SigningMethodRSAPSS{SigningMethodRSA: lax.SigningMethodRSA, Options: opts}
	return &SigningMethod{opts, nil, strict}
}

// MethodFor returns the method to sign with for a public key: the one method
// of an *ecdsa.PublicKey on P-256, P-384 or P-521, and RS256, which every
// verifier knows, for an *rsa.PublicKey of at least 2048 bits. For any other
// key the error names it and wraps [jwt.ErrInvalidKeyType].
func MethodFor(pub crypto.PublicKey) (*SigningMethod, error) {
	for _, m := range []*SigningMethod{ES256, ES384, ES512, RS256} {
		if m.checkKey(pub) == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("jwtkms: no method signs with %s: %w", describe(pub), jwt.ErrInvalidKeyType)
}

// Alg returns the algorithm's name in the token header, such as "ES256".
func (m *SigningMethod) Alg() string {
	return m.stock.Alg()
}

// Sign signs signingString with key, a [crypto.Signer], and returns the
// signature as JWS carries it: R‖S of 64, 96 or 132 bytes for ES256, ES384 and
// ES512, else as many bytes as the RSA modulus. golang-jwt calls it from
// SignedString; to bound or cancel it, pass a Signer that carries a context,
// such as kmssigner.Signer's WithContext returns.
//
// Sign costs one signature of the Signer; a Signer of another type or on
// another curve than the method's is refused before that, with an error that
// wraps [jwt.ErrInvalidKeyType]. The Signer's own errors are wrapped. Length
// and encoding of its answer are checked, but Sign does not verify it:
// kmssigner has done so already.
func (m *SigningMethod) Sign(signingString string, key any) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("jwtkms: %s signs with a crypto.Signer, got %T: %w", m.Alg(), key, jwt.ErrInvalidKeyType)
	}
	pub := signer.Public()
	if err := m.checkKey(pub); err != nil {
		return nil, err
	}
	sig, err := crypto.SignMessage(signer, rand.Reader, []byte(signingString), m.opts)
	if err != nil {
		return nil, fmt.Errorf("jwtkms: %s: %w", m.Alg(), err)
	}
	if m.curve != nil {
		if sig, err = derconv.ToP1363(sig, m.curve); err != nil {
			return nil, fmt.Errorf("jwtkms: %s: %T made a bad signature: %w", m.Alg(), signer, err)
		}
		return sig, nil
	}
	if want := pub.(*rsa.PublicKey).Size(); len(sig) != want {
		return nil, fmt.Errorf("jwtkms: %s: %T made a bad signature: it has %d bytes, want %d", m.Alg(), signer, len(sig), want)
	}
	return sig, nil
}

// Verify checks that sig, as JWS carries it, is a signature over signingString
// by key: a public key, or anything with a method Public() crypto.PublicKey,
// such as the Signer itself. A key of another type or on another curve than
// the method's is an error that wraps [jwt.ErrInvalidKeyType]; a signature that
// does not verify is the error of golang-jwt's own method. Verify never calls
// KMS.
func (m *SigningMethod) Verify(signingString string, sig []byte, key any) error {
	if k, ok := key.(interface{ Public() crypto.PublicKey }); ok {
		key = k.Public()
	}
	if err := m.checkKey(key); err != nil {
		return err
	}
	return m.stock.Verify(signingString, sig, key)
}

// checkKey reports whether the algorithm may be used with the public key.
// golang-jwt's methods look at the key's type only: a key on secp256k1 would
// pass for ES256, and a 1024-bit RSA key for RS256.
func (m *SigningMethod) checkKey(pub crypto.PublicKey) error {
	want := "an RSA key of at least 2048 bits"
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		//lint:ignore SA1019 only to see that they are there: crypto/ecdsa panics on a key without a point.
		if m.curve != nil && pub != nil && pub.Curve == m.curve && pub.X != nil && pub.Y != nil {
			return nil
		}
	case *rsa.PublicKey:
		if m.curve == nil && pub != nil && pub.N != nil && pub.N.BitLen() >= 2048 {
			return nil
		}
	}
	if m.curve != nil {
		want = "an ECDSA key on " + m.curve.Params().Name
	}
	return fmt.Errorf("jwtkms: %s wants %s, got %s: %w", m.Alg(), want, describe(pub), jwt.ErrInvalidKeyType)
}

// describe names a public key in an error.
func describe(pub crypto.PublicKey) string {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if pub != nil && pub.Curve != nil && pub.Curve.Params() != nil {
			return "an ECDSA key on " + pub.Curve.Params().Name
		}
	case *rsa.PublicKey:
		if pub != nil && pub.N != nil {
			return fmt.Sprintf("an RSA key of %d bits", pub.N.BitLen())
		}
	case nil:
		return "no key"
	}
	return fmt.Sprintf("a %T", pub)
}
