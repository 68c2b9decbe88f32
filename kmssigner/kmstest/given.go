package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	internal "github.com/kmssign/kmssign/internal/secp256k1"
)

// AddPrivateKey creates an enabled key of the given key material and returns
// its key ID. Use it for a key that a fixture, a JWKS or another program knows.
//
// The type of private is one of
//
//   - *rsa.PrivateKey, of 2048, 3072 or 4096 bits
//   - *ecdsa.PrivateKey, on P-256, P-384, P-521 or secp256k1, which is the
//     curve that [github.com/decred/dcrd/dcrec/secp256k1/v4.S256] returns
//   - ed25519.PrivateKey
//   - *mldsa.PrivateKey of filippo.io/mldsa, which is the type of crypto/mldsa
//     from Go 1.27 on
//   - []byte for an HMAC key, of 28, 32, 48 or 64 bytes for HMAC_224, HMAC_256,
//     HMAC_384 or HMAC_512
//
// The usage of the key is SIGN_VERIFY or GENERATE_VERIFY_MAC. AddPrivateKey
// copies a []byte and an ed25519.PrivateKey, and keeps private itself
// otherwise.
//
// id is a lower-case UUID, or "mrk-" and 32 lower-case hexadecimal digits for a
// multi-Region primary key. If id is empty, AddPrivateKey derives a UUID from
// the key, so that the same key has the same ID in every process.
//
// If the KMS has a key with the ID and the same material, AddPrivateKey changes
// nothing, whatever the state of that key. It returns an error if the material
// is another one, if id or private is not of the forms above, or if the state
// file of [Open] cannot be written. The call is not recorded, and faults do not
// apply to it.
func (k *KMS) AddPrivateKey(id string, private crypto.PrivateKey) (string, error) {
	name, secret, err := newMaterial(private)
	if err != nil {
		return "", fmt.Errorf("kmstest: AddPrivateKey: %w", err)
	}
	if id == "" {
		id = derivedID(secret)
	}
	if !givenID.MatchString(id) {
		return "", fmt.Errorf("kmstest: AddPrivateKey: key ID %q, want a lower-case UUID, or mrk- and 32 lower-case hexadecimal digits", id)
	}
	_, err = k.durably("AddPrivateKey", func() (any, error) { return nil, k.addGiven(id, name, secret) })
	if err != nil {
		return "", fmt.Errorf("kmstest: AddPrivateKey: %w", err)
	}
	return id, nil
}

var givenID = regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`)

func (k *KMS) addGiven(id string, name types.KeySpec, secret signer) error {
	policy, err := k.newPolicy(nil, false)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if existing, ok := k.keys[id]; ok {
		if existing.keySpec != name || !sameMaterial(existing.material, secret) {
			return fmt.Errorf("key %s exists with other key material", existing.arn)
		}
		return nil
	}
	made := &key{
		id:       id,
		arn:      k.arn("key/" + id),
		keySpec:  name,
		spec:     specs[name],
		usage:    specs[name].usages[0],
		material: secret,
		created:  now(),
		origin:   types.OriginTypeAwsKms,
		tags:     map[string]string{},
		state:    types.KeyStateEnabled,
		details:  details{Policy: policy},
	}
	if strings.HasPrefix(id, "mrk-") {
		made.multi = &multiRegion{primary: k.opts.Region}
	}
	k.keys[id] = made
	return nil
}

// newMaterial returns the key material of a private key or a secret, and the
// spec of the keys that have such material.
func newMaterial(private crypto.PrivateKey) (types.KeySpec, signer, error) {
	var spec types.KeySpec
	var made material
	err := errors.New("the key is nil")
	switch private := private.(type) {
	case nil:
	case *rsa.PrivateKey:
		if private != nil {
			spec, made, err = givenRSA(private)
		}
	case *ecdsa.PrivateKey:
		if private != nil {
			spec, made, err = givenECDSA(private)
		}
	case ed25519.PrivateKey:
		spec = types.KeySpecEccNistEdwards25519
		made, err = givenEd25519(private)
	case *mldsa.PrivateKey:
		if private != nil {
			spec = types.KeySpec(strings.ReplaceAll(private.PublicKey().Parameters().String(), "-", "_"))
			made, err = newMLDSA(private)
		}
	case []byte:
		spec = types.KeySpec(fmt.Sprintf("HMAC_%d", 8*len(private)))
		hash, ok := hmacHashes[spec]
		if !ok {
			return "", nil, fmt.Errorf("an HMAC key has %d bytes, want 28, 32, 48 or 64", len(private))
		}
		made, err = hmacKey{hash: hash, secret: bytes.Clone(private)}, nil
	default:
		err = fmt.Errorf("a %T is not a private key of a type that KMS signs with", private)
	}
	if err != nil {
		return "", nil, err
	}
	return spec, made.(signer), nil
}

func givenRSA(private *rsa.PrivateKey) (types.KeySpec, material, error) {
	if private.N == nil {
		return "", nil, errors.New("the RSA key has no modulus")
	}
	spec := types.KeySpec(fmt.Sprintf("RSA_%d", private.N.BitLen()))
	if _, ok := specs[spec]; !ok {
		return "", nil, fmt.Errorf("the RSA key has %d bits, want 2048, 3072 or 4096", private.N.BitLen())
	}
	if err := private.Validate(); err != nil {
		return "", nil, err
	}
	made, err := newRSA(private)
	return spec, made, err
}

func givenECDSA(private *ecdsa.PrivateKey) (types.KeySpec, material, error) {
	//lint:ignore SA1019 Methods of a key without numbers panic.
	d, x, y := private.D, private.X, private.Y
	switch spec, ok := curves[private.Curve]; {
	case d == nil || x == nil || y == nil:
		return "", nil, errors.New("the ECDSA key has no private number or no point")
	case private.Curve == internal.Curve:
		key, err := internal.FromECDSA(private)
		if err != nil {
			return "", nil, err
		}
		if !key.ToECDSA().PublicKey.Equal(&private.PublicKey) {
			return "", nil, errOtherPoint
		}
		made, err := newSecp256k1(key)
		return types.KeySpecEccSecgP256k1, made, err
	case !ok:
		return "", nil, errors.New("the ECDSA key is on a curve other than P-256, P-384, P-521 and secp256k1")
	default:
		number, err := private.ECDH()
		if err != nil {
			return "", nil, err
		}
		point, err := private.PublicKey.ECDH()
		if err != nil {
			return "", nil, err
		}
		if !number.PublicKey().Equal(point) {
			return "", nil, errOtherPoint
		}
		made, err := newECDSA(private)
		return spec, made, err
	}
}

var errOtherPoint = errors.New("the point of the ECDSA key does not belong to its private number")

func givenEd25519(private ed25519.PrivateKey) (material, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("the Ed25519 key has %d bytes, want %d", len(private), ed25519.PrivateKeySize)
	}
	if !private.Equal(ed25519.NewKeyFromSeed(private.Seed())) {
		return nil, errors.New("the public key of the Ed25519 key does not belong to its seed")
	}
	return newEd25519(bytes.Clone(private))
}

var curves = map[elliptic.Curve]types.KeySpec{
	elliptic.P256(): types.KeySpecEccNistP256,
	elliptic.P384(): types.KeySpecEccNistP384,
	elliptic.P521(): types.KeySpecEccNistP521,
}

// hmacHashes has the hashes of HMAC keys. The number in the name of the spec is
// the size in bits of the hash and of the keys that KMS makes.
var hmacHashes = map[types.KeySpec]crypto.Hash{
	types.KeySpecHmac224: crypto.SHA224,
	types.KeySpecHmac256: crypto.SHA256,
	types.KeySpecHmac384: crypto.SHA384,
	types.KeySpecHmac512: crypto.SHA512,
}

// derivedID returns the key ID of a given key without one, a UUID of version 8
// (RFC 9562 section 5.8). The ID of an HMAC key does not give away its secret.
func derivedID(secret signer) string {
	h := sha256.New()
	h.Write([]byte("kmstest key ID\x00"))
	if mac, ok := secret.(hmacKey); ok {
		h.Write(mac.secret)
	} else {
		h.Write(secret.publicKey())
	}
	b := h.Sum(nil)
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// sameMaterial reports whether two keys are the same key.
func sameMaterial(a, b material) bool {
	x, errX := saveMaterial(a)
	y, errY := saveMaterial(b)
	return errX == nil && errY == nil && bytes.Equal(x.Private, y.Private) && bytes.Equal(x.Secret, y.Secret) && bytes.Equal(x.Public, y.Public)
}
