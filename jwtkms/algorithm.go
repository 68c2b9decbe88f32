package jwtkms

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"reflect"
	"slices"

	"filippo.io/mldsa"
	"github.com/golang-jwt/jwt/v5"
)

// There is one method for each JWS algorithm that a KMS key can sign with.
// Except for HS256, HS384 and HS512, a method verifies with golang-jwt's method
// of the same name, if there is one.
var (
	ES256 *SigningMethod = newES(elliptic.P256(), crypto.SHA256, jwt.SigningMethodES256) // ECDSA on P-256 with SHA-256
	ES384 *SigningMethod = newES(elliptic.P384(), crypto.SHA384, jwt.SigningMethodES384) // ECDSA on P-384 with SHA-384
	ES512 *SigningMethod = newES(elliptic.P521(), crypto.SHA512, jwt.SigningMethodES512) // ECDSA on P-521 with SHA-512

	ES256K *SigningMethod = newES256K() // ECDSA on secp256k1 with SHA-256, see Register

	RS256 *SigningMethod = newRS(jwt.SigningMethodRS256) // RSASSA-PKCS1-v1_5 with SHA-256
	RS384 *SigningMethod = newRS(jwt.SigningMethodRS384) // RSASSA-PKCS1-v1_5 with SHA-384
	RS512 *SigningMethod = newRS(jwt.SigningMethodRS512) // RSASSA-PKCS1-v1_5 with SHA-512

	PS256 *SigningMethod = newPS(jwt.SigningMethodPS256) // RSASSA-PSS with SHA-256
	PS384 *SigningMethod = newPS(jwt.SigningMethodPS384) // RSASSA-PSS with SHA-384
	PS512 *SigningMethod = newPS(jwt.SigningMethodPS512) // RSASSA-PSS with SHA-512

	EdDSA   *SigningMethod = newEd25519("EdDSA")   // Ed25519 under its name in RFC 8037
	Ed25519 *SigningMethod = newEd25519("Ed25519") // Ed25519 under its name in RFC 9864, see Register

	MLDSA44 *SigningMethod = newMLDSA(mldsa.MLDSA44()) // ML-DSA-44, see Register
	MLDSA65 *SigningMethod = newMLDSA(mldsa.MLDSA65()) // ML-DSA-65, see Register
	MLDSA87 *SigningMethod = newMLDSA(mldsa.MLDSA87()) // ML-DSA-87, see Register

	HS256 *SigningMethod = newHS("HS256", sha256.Size)    // HMAC with SHA-256
	HS384 *SigningMethod = newHS("HS384", sha512.Size384) // HMAC with SHA-384
	HS512 *SigningMethod = newHS("HS512", sha512.Size)    // HMAC with SHA-512
)

// Every method is either in builtin, if golang-jwt has a method of the same
// name, or in missing. If several methods fit a key, [MethodFor] returns the
// first in methods.
var (
	builtin = []*SigningMethod{ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA, HS256, HS384, HS512}
	missing = []*SigningMethod{ES256K, Ed25519, MLDSA44, MLDSA65, MLDSA87}
	methods = slices.Concat(builtin, missing)
)

// An algorithm implements a JWS algorithm for a [SigningMethod]. The
// implementations for each type of key are in a file of their own: ecdsa.go,
// rsa.go, ed25519.go, mldsa.go and hmac.go. To add a key type, write such a
// file, declare its methods above, and add them to one of the lists.
//
// In all methods, pub is the key that verifies, which is a public key or a
// [MAC].
type algorithm interface {
	// signer describes the type of a key that signs, for errors.
	signer() string
	// public returns the pub of a key that signs. ok is false if key is not
	// of a type that signs.
	public(key any) (pub any, ok bool)
	// wants describes the keys that fit, for errors.
	wants() string
	// fits reports whether pub is a key for the algorithm.
	fits(pub any) bool
	// sign signs msg with key, whose pub fits.
	sign(msg []byte, key any) ([]byte, error)
	// encode returns the JWS form of a signature returned by sign. It
	// returns an error if the signature is malformed or has the wrong
	// length.
	encode(sig []byte, pub any) ([]byte, error)
	// verify returns nil if sig is a valid signature over signingString by
	// pub, which fits.
	verify(signingString string, sig []byte, pub any) error

	// describe describes pub, for errors. It returns "" if pub is not of
	// the key type of the algorithm. pub need not fit.
	describe(pub any) string
	// jwk returns the required members of the JWK of pub. If pub is not a
	// valid public key, it returns an error that wraps
	// [jwt.ErrInvalidKeyType]. pub is of the key type of the algorithm and
	// need not fit.
	jwk(pub any) (JWK, error)
}

// A signature is the part of an [algorithm] that all algorithms with a public
// key share. They sign with a [crypto.Signer].
type signature struct {
	opts crypto.SignerOpts
}

func (signature) signer() string { return "a crypto.Signer" }

func (signature) public(key any) (pub any, ok bool) {
	_, ok = key.(crypto.Signer)
	return publicOf(key), ok
}

func (s signature) sign(msg []byte, key any) ([]byte, error) {
	return crypto.SignMessage(key.(crypto.Signer), rand.Reader, msg, s.opts)
}

// checkLength returns an error if sig does not have the wanted length.
func checkLength(sig []byte, want int) error {
	if len(sig) != want {
		return fmt.Errorf("it has %d bytes, want %d", len(sig), want)
	}
	return nil
}

// publicOf returns the public key of a Signer or of any other value that has
// one. It returns all other keys unchanged, which includes private keys of the
// standard library whose Public would panic.
func publicOf(key any) any {
	k, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok || isNil(key) {
		return key
	}
	if k, ok := key.(ed25519.PrivateKey); ok && len(k) != ed25519.PrivateKeySize {
		return key
	}
	return k.Public()
}

// isNil reports whether key is a nil pointer, whose methods may panic.
func isNil(key any) bool {
	v := reflect.ValueOf(key)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// algorithmOf returns an algorithm for the key type of pub, or nil if there is
// none. pub need not fit it.
func algorithmOf(pub any) algorithm {
	for _, m := range methods {
		if m.describe(pub) != "" {
			return m.algorithm
		}
	}
	return nil
}

// describe describes a key, for errors.
func describe(key any) string {
	if key == nil {
		return "no key"
	}
	if a := algorithmOf(key); a != nil {
		return a.describe(key)
	}
	if isNil(key) {
		return fmt.Sprintf("a nil %T", key)
	}
	return fmt.Sprintf("a %T", key)
}
