package jwtkms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/derconv"
)

// The methods, one for each JWS algorithm that a KMS key can sign with. Where
// golang-jwt has the algorithm, its own method verifies.
var (
	ES256 *SigningMethod = newES(elliptic.P256(), crypto.SHA256, jwt.SigningMethodES256) // ECDSA on P-256 with SHA-256
	ES384 *SigningMethod = newES(elliptic.P384(), crypto.SHA384, jwt.SigningMethodES384) // ECDSA on P-384 with SHA-384
	ES512 *SigningMethod = newES(elliptic.P521(), crypto.SHA512, jwt.SigningMethodES512) // ECDSA on P-521 with SHA-512

	ES256K *SigningMethod = newES256K() // ECDSA on secp256k1 with SHA-256; see Register

	RS256 *SigningMethod = newRS(jwt.SigningMethodRS256) // RSASSA-PKCS1-v1_5 with SHA-256
	RS384 *SigningMethod = newRS(jwt.SigningMethodRS384) // RSASSA-PKCS1-v1_5 with SHA-384
	RS512 *SigningMethod = newRS(jwt.SigningMethodRS512) // RSASSA-PKCS1-v1_5 with SHA-512

	PS256 *SigningMethod = newPS(jwt.SigningMethodPS256) // RSASSA-PSS with SHA-256
	PS384 *SigningMethod = newPS(jwt.SigningMethodPS384) // RSASSA-PSS with SHA-384
	PS512 *SigningMethod = newPS(jwt.SigningMethodPS512) // RSASSA-PSS with SHA-512

	EdDSA   *SigningMethod = newEd25519("EdDSA")   // Ed25519, by the name of RFC 8037
	Ed25519 *SigningMethod = newEd25519("Ed25519") // Ed25519, by the name of RFC 9864; see Register

	MLDSA44 *SigningMethod = newMLDSA(mldsa.MLDSA44()) // "ML-DSA-44"; see Register
	MLDSA65 *SigningMethod = newMLDSA(mldsa.MLDSA65()) // "ML-DSA-65"; see Register
	MLDSA87 *SigningMethod = newMLDSA(mldsa.MLDSA87()) // "ML-DSA-87"; see Register

	HS256 *SigningMethod = newHS("HS256", sha256.Size)    // HMAC with SHA-256
	HS384 *SigningMethod = newHS("HS384", sha512.Size384) // HMAC with SHA-384
	HS512 *SigningMethod = newHS("HS512", sha512.Size)    // HMAC with SHA-512
)

func newES(curve elliptic.Curve, hash crypto.Hash, stock *jwt.SigningMethodECDSA) *SigningMethod {
	return &SigningMethod{
		alg:    stock.Name,
		keys:   "an ECDSA key on " + curve.Params().Name,
		fits:   func(pub crypto.PublicKey) bool { return isOn(curve, pub) },
		opts:   hash,
		encode: func(_ crypto.PublicKey, sig []byte) ([]byte, error) { return derconv.ToP1363(sig, curve) },
		verify: func(signed string, sig []byte, pub crypto.PublicKey) error { return stock.Verify(signed, sig, pub) },
	}
}

// isOn reports whether pub is an ECDSA key on the curve. golang-jwt's methods do
// not ask: a key on secp256k1 would pass for ES256.
func isOn(curve elliptic.Curve, pub crypto.PublicKey) bool {
	key, ok := pub.(*ecdsa.PublicKey)
	//lint:ignore SA1019 only to see that they are there: crypto/ecdsa panics on a key without a point.
	return ok && key != nil && key.Curve == curve && key.X != nil && key.Y != nil
}

// curveSecp256k1 is the curve of the keys that ES256K takes.
//
//lint:ignore SA1019 deprecated for arithmetic; an *ecdsa.PublicKey on this curve needs it
var curveSecp256k1 elliptic.Curve = secp256k1.S256()

// newES256K verifies with decred's package, because crypto/ecdsa is slow on this
// curve and panics in FIPS 140-only mode.
func newES256K() *SigningMethod {
	m := newES(curveSecp256k1, crypto.SHA256, &jwt.SigningMethodECDSA{Name: "ES256K"})
	m.keys = "an ECDSA key on decred's secp256k1"
	m.verify = func(signed string, sig []byte, pub crypto.PublicKey) error {
		key, err := secp256k1Key(pub.(*ecdsa.PublicKey))
		if err != nil {
			return fmt.Errorf("jwtkms: ES256K: %w: %w", jwt.ErrInvalidKey, err)
		}
		der, err := derconv.ToDER(sig, curveSecp256k1)
		if err != nil {
			return jwt.ErrECDSAVerification
		}
		parsed, err := secpecdsa.ParseDERSignature(der)
		digest := sha256.Sum256([]byte(signed))
		if err != nil || !parsed.Verify(digest[:], key) {
			return jwt.ErrECDSAVerification
		}
		return nil
	}
	return m
}

// secp256k1Key is decred's form of a key on secp256k1, known to be on the curve.
func secp256k1Key(pub *ecdsa.PublicKey) (*secp256k1.PublicKey, error) {
	//lint:ignore SA1019 PublicKey.Bytes does not know this curve.
	x, y := pub.X, pub.Y
	if x.Sign() < 0 || y.Sign() < 0 || x.BitLen() > 256 || y.BitLen() > 256 {
		return nil, errors.New("the point of the secp256k1 key is out of range")
	}
	point := make([]byte, secp256k1.PubKeyBytesLenUncompressed)
	point[0] = secp256k1.PubKeyFormatUncompressed
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	return secp256k1.ParsePubKey(point)
}

func newRS(stock *jwt.SigningMethodRSA) *SigningMethod {
	return newRSA(stock, stock.Hash)
}

// newPS makes a PS method that verifies as strictly as it signs: golang-jwt's
// own takes a salt of any length when verifying, RFC 7518 section 3.5 allows
// one.
func newPS(lax *jwt.SigningMethodRSAPSS) *SigningMethod {
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: lax.Hash}
	return newRSA(&jwt.SigningMethodRSAPSS{SigningMethodRSA: lax.SigningMethodRSA, Options: opts}, opts)
}

func newRSA(stock jwt.SigningMethod, opts crypto.SignerOpts) *SigningMethod {
	return &SigningMethod{
		alg:  stock.Alg(),
		keys: "an RSA key of at least 2048 bits", // RFC 7518 sections 3.3 and 3.5
		fits: func(pub crypto.PublicKey) bool {
			key, ok := pub.(*rsa.PublicKey)
			return ok && usableRSA(key) && key.N.BitLen() >= 2048
		},
		opts: opts,
		encode: func(pub crypto.PublicKey, sig []byte) ([]byte, error) {
			return sig, checkLength(sig, pub.(*rsa.PublicKey).Size())
		},
		verify: func(signed string, sig []byte, pub crypto.PublicKey) error { return stock.Verify(signed, sig, pub) },
	}
}

// usableRSA reports whether key has numbers that can be a public key's.
func usableRSA(key *rsa.PublicKey) bool {
	return key != nil && key.N != nil && key.N.Sign() > 0 && key.E > 1
}

func newEd25519(alg string) *SigningMethod {
	return &SigningMethod{
		alg:  alg,
		keys: "an Ed25519 key",
		fits: func(pub crypto.PublicKey) bool {
			key, ok := pub.(ed25519.PublicKey)
			return ok && len(key) == ed25519.PublicKeySize
		},
		opts: crypto.Hash(0),
		encode: func(_ crypto.PublicKey, sig []byte) ([]byte, error) {
			return sig, checkLength(sig, ed25519.SignatureSize)
		},
		verify: func(signed string, sig []byte, pub crypto.PublicKey) error {
			return jwt.SigningMethodEdDSA.Verify(signed, sig, pub)
		},
	}
}

func newMLDSA(params mldsa.Parameters) *SigningMethod {
	return &SigningMethod{
		alg:  params.String(),
		keys: "an " + params.String() + " key",
		fits: func(pub crypto.PublicKey) bool {
			key, ok := pub.(*mldsa.PublicKey)
			return ok && usableMLDSA(key) && key.Parameters() == params
		},
		opts: crypto.Hash(0),
		encode: func(_ crypto.PublicKey, sig []byte) ([]byte, error) {
			return sig, checkLength(sig, params.SignatureSize())
		},
		verify: func(signed string, sig []byte, pub crypto.PublicKey) error {
			// RFC 9964 section 5: the context is empty.
			if mldsa.Verify(pub.(*mldsa.PublicKey), []byte(signed), sig, nil) != nil {
				return jwt.ErrSignatureInvalid
			}
			return nil
		},
	}
}

// usableMLDSA reports whether key has parameters: of a zero key Parameters panics.
func usableMLDSA(key *mldsa.PublicKey) bool {
	return key != nil && !key.Equal(&mldsa.PublicKey{})
}

func checkLength(sig []byte, want int) error {
	if len(sig) != want {
		return fmt.Errorf("it has %d bytes, want %d", len(sig), want)
	}
	return nil
}
