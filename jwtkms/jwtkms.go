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
//   - ES256, ES384 and ES512 (RFC 7518) go with keys on P-256, P-384 and P-521,
//     ES256K (RFC 8812) with keys on secp256k1; no other pairing is allowed.
//   - The RS and PS methods (RFC 7518) go with RSA keys of at least 2048 bits. PS
//     signatures have a salt as long as the hash, and Verify accepts no other.
//   - EdDSA (RFC 8037) and Ed25519 (RFC 9864) are two names for one signature.
//     The newer is the exact one, the older the one that verifiers know today.
//   - MLDSA44, MLDSA65 and MLDSA87 (RFC 9964) go with the ML-DSA keys of their
//     size, with an empty context.
//   - HS256, HS384 and HS512 (RFC 7518) go with a [MAC], such as an HMAC key in KMS.
//
// [MethodFor] picks the method for a key.
//
// # Verifying
//
// The tokens are ordinary: [jwt.Parse] with golang-jwt's own methods and the
// plain public key verifies them, and so does any JOSE library. Importing this
// package registers nothing, so parsing goes on as before. golang-jwt knows
// neither ES256K nor Ed25519 nor ML-DSA; to parse such tokens call [Register]
// once. To parse with a method of this package in place of golang-jwt's of the
// same name, as HS256 with a KMS key demands, see [SigningMethod.Keyfunc].
//
// # Publishing keys
//
// [SigningMethod.JWK] makes the JWK of a public key, and [Thumbprint] its kid. To change
// keys, and to serve a JWKS, see package keyring.
//
// # Cost
//
// A token costs one signature of the Signer, so one Sign call of a KMS key. It
// may be of any size, but for Ed25519 and HMAC keys in KMS, which take 4096
// bytes: header, claims and the dot between them, in base64url, so claims of
// about 3000 bytes. Verifying with a public key costs no call; verifying HS256,
// HS384 and HS512 with a KMS key costs one each time.
package jwtkms

import (
	"crypto"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// A SigningMethod is a [jwt.SigningMethod] for one JWS algorithm. It is
// immutable and safe for concurrent use.
type SigningMethod struct {
	alg string
	algorithm
}

// Alg returns the algorithm's name in the token header, such as "ES256" or
// "ML-DSA-44".
func (m *SigningMethod) Alg() string { return m.alg }

// Sign signs signingString with key, a [crypto.Signer], or a [MAC] for the HS
// methods, and returns the signature as JWS carries it: for the ES methods R‖S of
// 64, 96 or 132 bytes, for all others what the Signer makes. golang-jwt calls it
// from SignedString; to bound or cancel it, pass a Signer that carries a context,
// such as kmssigner.Signer's WithContext returns.
//
// Sign costs one signature of the Signer; a key of another type or on another
// curve than the method's is refused before that, with an error that wraps
// [jwt.ErrInvalidKeyType]. The Signer's own errors are wrapped. Length and
// encoding of its answer are checked, but Sign does not verify it: kmssigner has
// done so already.
func (m *SigningMethod) Sign(signingString string, key any) ([]byte, error) {
	pub, ok := m.public(key)
	if !ok {
		return nil, fmt.Errorf("jwtkms: %s signs with %s, got %s: %w", m.alg, m.signer(), describe(key), jwt.ErrInvalidKeyType)
	}
	if !m.fits(pub) {
		return nil, m.misfit(pub)
	}
	sig, err := m.sign([]byte(signingString), key)
	if err != nil {
		return nil, fmt.Errorf("jwtkms: %s: %w", m.alg, err)
	}
	sig, err = m.encode(sig, pub)
	if err != nil {
		return nil, fmt.Errorf("jwtkms: %s: %T made a bad signature: %w", m.alg, key, err)
	}
	return sig, nil
}

// Verify checks that sig, as JWS carries it, is a signature over signingString
// by key: a public key, or anything with a method Public() crypto.PublicKey,
// such as the Signer itself, or a [MAC] for the HS methods. A key of another type
// or on another curve than the method's is an error that wraps
// [jwt.ErrInvalidKeyType]; a signature that does not verify is the error that
// golang-jwt's own method has, [jwt.ErrSignatureInvalid] for the HS and ML-DSA methods;
// [ErrNotChecked] says that a MAC could not be asked. Only a MAC calls KMS.
func (m *SigningMethod) Verify(signingString string, sig []byte, key any) error {
	if set, ok := key.(keySet); ok {
		return set.verify(m, signingString, sig)
	}
	key = publicOf(key)
	if !m.fits(key) {
		return m.misfit(key)
	}
	return m.verify(signingString, sig, key)
}

func (m *SigningMethod) misfit(key any) error {
	return fmt.Errorf("jwtkms: %s wants %s, got %s: %w", m.alg, m.wants(), describe(key), jwt.ErrInvalidKeyType)
}

// MethodFor returns the method to sign with for a public key, for anything with a
// method Public() crypto.PublicKey, such as a Signer, or for a [MAC]: the one
// method of an *ecdsa.PublicKey on P-256, P-384, P-521 or secp256k1, of an
// *mldsa.PublicKey and of a MAC of 32, 48 or 64 bytes; for an *rsa.PublicKey of at
// least 2048 bits RS256, and for an ed25519.PublicKey EdDSA, both because every
// verifier of such keys knows them: few know the name Ed25519 yet, golang-jwt among
// those that do not. For any other key the error names it and wraps
// [jwt.ErrInvalidKeyType].
func MethodFor(key crypto.PublicKey) (*SigningMethod, error) {
	key = publicOf(key)
	for _, m := range methods {
		if m.fits(key) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("jwtkms: no method signs with %s: %w", describe(key), jwt.ErrInvalidKeyType)
}
