// Package jwtkms provides golang-jwt signing methods that sign with any
// [crypto.Signer]: a key in AWS KMS through package kmssigner, a key in a TPM
// or a PKCS #11 token, or an *ecdsa.PrivateKey in a test.
//
//	token := jwt.NewWithClaims(jwtkms.ES256, claims)
//	token.Header["kid"] = kid
//	compact, err := token.SignedString(signer.WithContext(ctx))
//
// golang-jwt's own methods need the private key in memory. The methods of this
// package take a Signer instead. They check that its key is one that the
// algorithm may be used with, and they convert an ECDSA signature from DER to
// the fixed-width R‖S of JWS (RFC 7518 section 3.4).
//
// # Methods
//
//   - ES256, ES384 and ES512 (RFC 7518) sign with a key on P-256, P-384 and
//     P-521, and ES256K (RFC 8812) with a key on secp256k1. No other pair of
//     algorithm and curve is allowed.
//   - RS256, RS384, RS512, PS256, PS384 and PS512 (RFC 7518) sign with an RSA
//     key of 2048 to 16384 bits. The salt of a PS signature is as long as the
//     hash, and Verify rejects every other length.
//   - EdDSA (RFC 8037) and Ed25519 (RFC 9864) are two names for the same
//     signature, made with an Ed25519 key. RFC 9864 deprecates EdDSA because
//     the name does not say which curve is used, but more verifiers know it.
//   - MLDSA44, MLDSA65 and MLDSA87 (RFC 9964) sign with an ML-DSA key of that
//     parameter set and with an empty context.
//   - HS256, HS384 and HS512 (RFC 7518) sign with a [MAC], such as an HMAC key
//     in KMS.
//
// [MethodFor] returns the method for a key.
//
// # Verifying
//
// The tokens are ordinary JWTs. [jwt.Parse] verifies them with golang-jwt's own
// methods and the public key, and so does any JOSE library. Importing this
// package registers nothing, so it does not change how a program parses tokens.
// golang-jwt lacks ES256K, Ed25519 and ML-DSA. To parse such tokens, call
// [Register] once. [SigningMethod.Keyfunc] makes the parser verify with a
// method of this package. HS256, HS384 and HS512 with a KMS key need it,
// because golang-jwt's methods of these names need the secret in memory.
//
// # Publishing keys
//
// [SigningMethod.JWK] returns the JWK of a public key, and [Thumbprint] its
// kid. For changing keys and serving a JWKS, see package keyring.
//
// # Cost
//
// Each token costs one signature, which is one Sign or GenerateMac call for a
// KMS key. Verifying with a public key makes no call. Verifying HS256, HS384 or
// HS512 with a KMS key makes one VerifyMac call each time.
//
// For Ed25519 and HMAC keys KMS takes messages of at most 4096 bytes. For a
// longer message Sign returns kmssigner.ErrMessageLength without a call. The
// message is the header and the claims in base64url with a dot between them, so
// the claims may have about 3000 bytes. Tokens signed with other keys may have
// any size.
//
// # The cost of a forgery
//
// Anyone who can send tokens to a verifier of HS256, HS384 or HS512 with a KMS
// key can make it call KMS. The header and the length of the MAC are checked
// before the call, but a forger gets these right. Each forged token then costs
// one VerifyMac call for each key given to [SigningMethod.Keyfunc]. If such a
// key is an HMAC with kmssigner.HMACOptions.KeepAlias, the token also costs one
// DescribeKey call. AWS charges for the calls, and they count towards a request
// quota that all symmetric keys of the account in the Region share. There are
// four ways to limit the cost:
//
//   - Choose the key by the kid of the token, and give only that to Keyfunc.
//   - Use [ValidateFirst], so that copies of an expired token make no call.
//     ValidateFirst does not stop a forger who writes valid claims.
//   - Limit the calls that each client may cause. The example of [MAC] shows
//     how.
//   - Use a method with a public key instead. Verifying then makes no call.
package jwtkms

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// A SigningMethod is a [jwt.SigningMethod] for one JWS algorithm. It is
// immutable and safe for concurrent use. The variables of this package, such as
// [ES256], are its only values. The methods of a nil or zero SigningMethod
// return an error, its Alg returns "", and the result of its Keyfunc returns an
// error.
type SigningMethod struct {
	alg       string
	algorithm // nil in a zero SigningMethod
}

var errNoMethod = errors.New("jwtkms: the SigningMethod is nil or zero, want one of package jwtkms, such as ES256")

// isZero reports whether m is nil or zero.
func (m *SigningMethod) isZero() bool { return m == nil || m.algorithm == nil }

// Alg returns the algorithm's name in the token header, such as "ES256" or
// "ML-DSA-44". It is empty if m is nil or zero.
func (m *SigningMethod) Alg() string {
	if m == nil {
		return ""
	}
	return m.alg
}

// Sign signs signingString with key and returns the signature in the form of
// JWS. key is a [crypto.Signer], or a [MAC] for HS256, HS384 and HS512. The
// signature of an ES method is R‖S of 64, 96 or 132 bytes. All other signatures
// are returned as the key made them.
//
// Sign calls the key once, which for a KMS key is one Sign or GenerateMac call.
// If key does not fit the method, because it is of another type, on another
// curve or too short, Sign returns an error that wraps [jwt.ErrInvalidKeyType]
// before it calls the key. Errors from the key are wrapped. Sign checks the
// length and the encoding of the signature. It does not verify the signature,
// which a *kmssigner.Signer has already done.
//
// [jwt.Token.SignedString] calls Sign without a context. To cancel the call or
// to set a deadline, pass a key that carries a context, such as the result of
// kmssigner's Signer.WithContext.
func (m *SigningMethod) Sign(signingString string, key any) ([]byte, error) {
	if m.isZero() {
		return nil, errNoMethod
	}
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

// Verify returns nil if sig, in the form of JWS, is a valid signature over
// signingString by key. key is a public key, a value whose method Public
// returns one, such as a Signer, or a [MAC] for HS256, HS384 and HS512. Verify
// calls KMS only if key is a MAC with a key in KMS.
//
// If key does not fit the method, the error wraps [jwt.ErrInvalidKeyType]. If
// the signature is invalid, the error is jwt.ErrECDSAVerification for the ES
// methods, rsa.ErrVerification for the RS and PS methods,
// jwt.ErrEd25519Verification for EdDSA and Ed25519, and jwt.ErrSignatureInvalid
// for the HS and ML-DSA methods. These are the errors of golang-jwt's own
// methods, where it has them. If a MAC could not check the signature, the error
// wraps [ErrNotChecked].
func (m *SigningMethod) Verify(signingString string, sig []byte, key any) error {
	if m.isZero() {
		return errNoMethod
	}
	if set, ok := key.(keySet); ok {
		return set.verify(m, signingString, sig)
	}
	key = publicOf(key)
	if !m.fits(key) {
		return m.misfit(key)
	}
	return m.verify(signingString, sig, key)
}

// misfit returns the error for a key that does not fit m.
func (m *SigningMethod) misfit(key any) error {
	return fmt.Errorf("jwtkms: %s wants %s, got %s: %w", m.alg, m.wants(), describe(key), jwt.ErrInvalidKeyType)
}

// MethodFor returns the method to sign with for a key. The key is a public key,
// a value whose method Public returns one, such as a Signer, or a [MAC].
//
// An *ecdsa.PublicKey on P-256, P-384, P-521 or secp256k1, an *mldsa.PublicKey,
// and a MAC of 32, 48 or 64 bytes each have only one method. For an
// *rsa.PublicKey of 2048 to 16384 bits MethodFor returns [RS256], and for an
// ed25519.PublicKey it returns [EdDSA], because these are the names that the
// most verifiers know. For any other key it returns an error that describes the
// key and wraps [jwt.ErrInvalidKeyType].
func MethodFor(key crypto.PublicKey) (*SigningMethod, error) {
	key = publicOf(key)
	for _, m := range methods {
		if m.fits(key) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("jwtkms: no method signs with %s: %w", describe(key), jwt.ErrInvalidKeyType)
}
