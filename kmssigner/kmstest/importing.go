package kmstest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for RSAES_OAEP_SHA_1
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/pkcs8"
)

// importing is what a key of origin EXTERNAL knows of its material besides the
// material.
type importing struct {
	Parameters  []importParameters // that may still be used, oldest first
	Present     bool               // whether the key has its material
	Fingerprint []byte             // SHA-256 of the first material, which later ones must equal
	Expires     time.Time          // zero if the material does not expire
}

// importParameters is an answer of GetParametersForImport.
type importParameters struct {
	Token     []byte
	Algorithm types.AlgorithmSpec
	Private   []byte // wrapping key, in PKCS #8
	ValidTo   time.Time
}

// maxParameters is the number of answers of GetParametersForImport that a key
// keeps. In KMS they are valid for 24 hours, however many there are.
const maxParameters = 10

// maxExpiration is the longest time for which material can be imported.
const maxExpiration = 365 * 24 * time.Hour

var oaepHashes = map[types.AlgorithmSpec]crypto.Hash{
	types.AlgorithmSpecRsaesOaepSha1:   crypto.SHA1,
	types.AlgorithmSpecRsaesOaepSha256: crypto.SHA256,
}

var wrappingBits = map[types.WrappingKeySpec]int{
	types.WrappingKeySpecRsa2048: 2048,
	types.WrappingKeySpecRsa3072: 3072,
	types.WrappingKeySpecRsa4096: 4096,
}

func (k *KMS) getParametersForImport(in *kms.GetParametersForImportInput) (*kms.GetParametersForImportOutput, error) {
	bits, ok := wrappingBits[in.WrappingKeySpec]
	if !ok {
		return nil, refuse("UnsupportedOperationException", "kmstest: wrapping key spec %s is not supported", in.WrappingKeySpec)
	}
	if _, ok := oaepHashes[in.WrappingAlgorithm]; !ok {
		return nil, refuse("UnsupportedOperationException", "kmstest: wrapping algorithm %s is not supported, want RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1", in.WrappingAlgorithm)
	}
	private, err := testRSAKey(bits) // slow, so not under k.mu
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	p := importParameters{Token: make([]byte, 256), Algorithm: in.WrappingAlgorithm, ValidTo: now().Add(24 * time.Hour)}
	rand.Read(p.Token)
	if p.Private, err = pkcs8.Marshal(private); err != nil {
		return nil, err
	}
	var out *kms.GetParametersForImportOutput
	err = k.changeImport("GetParametersForImport", in.KeyId, func(key *key) error {
		if key.deletionScheduled() {
			return badState(key.arn, key.state)
		}
		key.Import.Parameters = append(key.Import.Parameters, p)
		if n := len(key.Import.Parameters); n > maxParameters {
			key.Import.Parameters = slices.Delete(key.Import.Parameters, 0, n-maxParameters)
		}
		out = &kms.GetParametersForImportOutput{ImportToken: p.Token, KeyId: aws.String(key.arn), ParametersValidTo: aws.Time(p.ValidTo), PublicKey: public}
		return nil
	})
	return out, err
}

// changeImport is change for operations of keys of origin EXTERNAL only.
func (k *KMS) changeImport(operation string, id *string, f func(*key) error) error {
	return k.change(operation, id, func(key *key) error {
		if key.origin != types.OriginTypeExternal {
			return wrongOrigin(key)
		}
		return f(key)
	})
}

func (k *KMS) importKeyMaterial(in *kms.ImportKeyMaterialInput) (*kms.ImportKeyMaterialOutput, error) {
	expires, err := expiration(in)
	if err != nil {
		return nil, err
	}
	var out *kms.ImportKeyMaterialOutput
	err = k.changeImport("ImportKeyMaterial", in.KeyId, func(key *key) error {
		if key.deletionScheduled() {
			return badState(key.arn, key.state)
		}
		secret, err := key.unwrap(in)
		if err != nil {
			return err
		}
		made, err := key.importable(secret)
		if err != nil {
			return err
		}
		fingerprint := sha256.Sum256(secret)
		if err := key.sameAsBefore(in, fingerprint[:]); err != nil {
			return err
		}
		key.material = made
		key.Import.Present, key.Import.Fingerprint, key.Import.Expires = true, fingerprint[:], expires
		if key.state == types.KeyStatePendingImport {
			key.state = types.KeyStateEnabled
		}
		out = &kms.ImportKeyMaterialOutput{KeyId: aws.String(key.arn), KeyMaterialId: key.materialID()}
		return nil
	})
	return out, err
}

// expiration checks the members of the request that say when the material
// expires, and returns the time.
func expiration(in *kms.ImportKeyMaterialInput) (time.Time, error) {
	guess := func(text string) (time.Time, error) {
		return time.Time{}, unrecorded("ValidationException", "%s", text)
	}
	switch {
	case in.ExpirationModel == types.ExpirationModelTypeKeyMaterialDoesNotExpire && in.ValidTo != nil:
		return guess("A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE")
	case in.ExpirationModel == types.ExpirationModelTypeKeyMaterialDoesNotExpire:
		return time.Time{}, nil
	case in.ValidTo == nil:
		return time.Time{}, refuse("ValidationException", "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
	case !in.ValidTo.After(now()), in.ValidTo.After(now().Add(maxExpiration)):
		return guess("The validTo date must be in the future, and at most 365 days ahead")
	}
	return *in.ValidTo, nil
}

// unwrap decrypts the material in a request. The errors have no text, as
// InvalidCiphertextException has none in recordings of other operations.
func (key *key) unwrap(in *kms.ImportKeyMaterialInput) ([]byte, error) {
	i := slices.IndexFunc(key.Import.Parameters, func(p importParameters) bool { return bytes.Equal(p.Token, in.ImportToken) })
	switch {
	case i < 0:
		return nil, unrecorded("InvalidImportTokenException", "")
	case now().After(key.Import.Parameters[i].ValidTo):
		return nil, unrecorded("ExpiredImportTokenException", "")
	}
	p := key.Import.Parameters[i]
	private, err := pkcs8.Parse(p.Private)
	if err != nil {
		return nil, err
	}
	secret, err := rsa.DecryptOAEP(oaepHashes[p.Algorithm].New(), nil, private.(*rsa.PrivateKey), in.EncryptedKeyMaterial, nil)
	if err != nil {
		return nil, unrecorded("InvalidCiphertextException", "")
	}
	return secret, nil
}

// importable returns the material that secret is: 32 bytes for a symmetric
// encryption key, as many as the hash has for an HMAC key, and PKCS #8 for a
// key on an elliptic curve.
func (key *key) importable(secret []byte) (material, error) {
	wrong := func(format string, args ...any) (material, error) {
		return nil, unrecorded("IncorrectKeyMaterialException", format, args...)
	}
	var private crypto.PrivateKey = secret
	switch {
	case key.keySpec == types.KeySpecSymmetricDefault:
		if len(secret) != 32 {
			return wrong("The key material has %d bytes, want 32", len(secret))
		}
		return publicOnly(nil), nil
	case strings.HasPrefix(string(key.keySpec), "RSA_"):
		return nil, refuse("UnsupportedOperationException", "kmstest: the import of RSA keys is not supported")
	case key.usage != generateVerifyMac:
		var err error
		if private, err = pkcs8.Parse(secret); err != nil {
			return wrong("The key material is not a private key in PKCS #8")
		}
	}
	spec, made, err := newMaterial(private)
	if err != nil || spec != key.keySpec {
		return wrong("The key material is not that of a KMS key with key spec %s", key.keySpec)
	}
	return made, nil
}

// sameAsBefore checks that a key which had material gets the same again.
func (key *key) sameAsBefore(in *kms.ImportKeyMaterialInput, fingerprint []byte) error {
	first := key.Import.Fingerprint == nil
	switch {
	case first && in.ImportType == types.ImportTypeExistingKeyMaterial:
		return unrecorded("IncorrectKeyMaterialException", "The KMS key has had no key material")
	case !first && in.ImportType == types.ImportTypeNewKeyMaterial:
		return refuse("UnsupportedOperationException", "kmstest: the rotation of imported key material is not supported")
	case !first && !bytes.Equal(key.Import.Fingerprint, fingerprint):
		return unrecorded("IncorrectKeyMaterialException", "The key material is not the one that was imported before")
	}
	return nil
}

// materialID returns the ID of the material of a symmetric encryption key, or
// nil if it has had none. The ID of the fake has the form of that of KMS, and
// is the same for a key and its replicas. Other keys have no ID.
func (key *key) materialID() *string {
	if key.keySpec != types.KeySpecSymmetricDefault || key.origin == types.OriginTypeExternal && key.Import.Fingerprint == nil {
		return nil
	}
	id := sha256.Sum256([]byte(key.id))
	return aws.String(hex.EncodeToString(id[:]))
}

func (k *KMS) deleteImportedKeyMaterial(in *kms.DeleteImportedKeyMaterialInput) (*kms.DeleteImportedKeyMaterialOutput, error) {
	var out *kms.DeleteImportedKeyMaterialOutput
	err := k.changeImport("DeleteImportedKeyMaterial", in.KeyId, func(key *key) error {
		key.material = publicOnly(nil)
		key.Import.Present, key.Import.Expires = false, time.Time{}
		if !key.deletionScheduled() {
			key.state = types.KeyStatePendingImport
		}
		out = &kms.DeleteImportedKeyMaterialOutput{KeyId: aws.String(key.arn), KeyMaterialId: key.materialID()}
		return nil
	})
	return out, err
}
