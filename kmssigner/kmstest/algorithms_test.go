package kmstest

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestMessageTypes continues TestSignRefusals with the newer key specs.
func TestMessageTypes(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		edID, dsa, secpID, hmacID := f.kms.AddKey(ed), f.kms.AddKey(mldsa44), f.kms.AddKey(secp), f.kms.AddKey(types.KeySpecHmac256)
		kem := f.kms.AddKey(types.KeySpecMlKem768)
		sm2 := f.kms.AddKey(types.KeySpecSm2)
		for _, tt := range []struct {
			reason        string
			id            string
			alg           types.SigningAlgorithmSpec
			t             types.MessageType
			n             int // bytes
			code, message string
		}{
			{"Ed25519 takes the message only", edID, ed512, predig, 64,
				"ValidationException", "Message type DIGEST is incompatible with algorithm ED25519_SHA_512."},
			{"Ed25519ph takes a digest only", edID, edPH, raw, 64,
				"ValidationException", "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512."},
			{"Ed25519ph and the default message type", edID, edPH, "", 64,
				"ValidationException", "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512."},
			{"a digest of SHA-256 for Ed25519ph", edID, edPH, predig, 32,
				"ValidationException", "Digest is invalid length for algorithm ED25519_PH_SHA_512."},
			{"EXTERNAL_MU for Ed25519", edID, ed512, mu, 64,
				"ValidationException", "Message type EXTERNAL_MU is incompatible with key spec ECC_NIST_EDWARDS25519."},
			{"Ed25519 does not take more than others", edID, ed512, raw, 4097,
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096"},
			{"ECDSA with an Ed25519 key", edID, es512, raw, 1,
				"InvalidKeyUsageException", "Algorithm ECDSA_SHA_512 is incompatible with key spec ECC_NIST_EDWARDS25519."},
			{"ML-DSA has no digest", dsa, shake, predig, 64,
				"ValidationException", "Message type DIGEST is incompatible with key spec ML_DSA_44."},
			{"a mu that is too short", dsa, shake, mu, 63,
				"ValidationException", "External Mu is invalid length for algorithm ML_DSA_SHAKE_256."},
			{"a mu that is too long", dsa, shake, mu, 65,
				"ValidationException", "External Mu is invalid length for algorithm ML_DSA_SHAKE_256."},
			{"Ed25519 with an ML-DSA key", dsa, ed512, raw, 1,
				"InvalidKeyUsageException", "Algorithm ED25519_SHA_512 is incompatible with key spec ML_DSA_44."},
			{"secp256k1 signs with SHA-256 only", secpID, es384, raw, 1,
				"InvalidKeyUsageException", "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_SECG_P256K1."},
			{"digests for secp256k1", secpID, es256, predig, 48,
				"ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256."},
			{"HMAC keys do not sign", hmacID, es256, raw, 1,
				"InvalidKeyUsageException", f.kms.arn("key/"+hmacID) + " key usage is GENERATE_VERIFY_MAC which is not valid for {op}."},
			{"ML-KEM keys do not sign", kem, shake, raw, 1,
				"InvalidKeyUsageException", f.kms.arn("key/"+kem) + " key usage is ENCAPSULATE_DECAPSULATE which is not valid for {op}."},
			{"SM2 is beyond the fake", sm2, types.SigningAlgorithmSpecSm2dsa, raw, 1,
				"UnsupportedOperationException", "kmstest: algorithm SM2DSA is not supported"},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				_, err := f.Sign(t.Context(), &kms.SignInput{KeyId: &tt.id, Message: make([]byte, tt.n), MessageType: tt.t, SigningAlgorithm: tt.alg})
				checkPrefix(t, err, "Sign", tt.code, tt.message)
				_, err = f.Verify(t.Context(), &kms.VerifyInput{KeyId: &tt.id, Message: make([]byte, tt.n), MessageType: tt.t, SigningAlgorithm: tt.alg, Signature: make([]byte, 64)})
				checkPrefix(t, err, "Verify", tt.code, tt.message)
			})
		}
	}, inChina)
}
