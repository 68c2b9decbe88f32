package kmstest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestEnumOrder checks that the lists in the texts have all values of the SDK.
func TestEnumOrder(t *testing.T) {
	for member, n := range map[string]int{
		"signingAlgorithm": len(types.SigningAlgorithmSpec("").Values()),
		"macAlgorithm":     len(types.MacAlgorithmSpec("").Values()),
		"keySpec":          len(types.KeySpec("").Values()),
		"keyUsage":         len(types.KeyUsageType("").Values()),
	} {
		if len(enumOrder[member]) != n {
			t.Errorf("%s: %d values, the SDK has %d", member, len(enumOrder[member]), n)
		}
	}
	k := New()
	for _, name := range enumOrder["signingAlgorithm"] {
		_, err := k.Sign(t.Context(), signInput(noKey, []byte("m"), types.SigningAlgorithmSpec(name)))
		check(t, err, "Sign", "NotFoundException", "Key '"+k.arn("key/"+noKey)+"' does not exist")
	}
	for _, name := range enumOrder["macAlgorithm"] {
		_, err := k.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: aws.String(noKey), Message: []byte("m"), MacAlgorithm: types.MacAlgorithmSpec(name)})
		check(t, err, "GenerateMac", "NotFoundException", "Key '"+k.arn("key/"+noKey)+"' does not exist")
	}
}

// TestResultLengths checks the errors for signatures and MACs of all kinds of
// lengths.
func TestResultLengths(t *testing.T) {
	k := New()
	s := NewServer(k)
	defer s.Close()
	for _, tt := range []struct {
		spec           types.KeySpec
		op, alg, blob  string
		member, failed string
	}{
		{rsa2048, "Verify", "RSASSA_PSS_SHA_256", "Signature", "signature", "KMSInvalidSignatureException"},
		{p256, "Verify", "ECDSA_SHA_256", "Signature", "signature", "KMSInvalidSignatureException"},
		{secp, "Verify", "ECDSA_SHA_256", "Signature", "signature", "KMSInvalidSignatureException"},
		{ed, "Verify", "ED25519_SHA_512", "Signature", "signature", "KMSInvalidSignatureException"},
		{mldsa44, "Verify", "ML_DSA_SHAKE_256", "Signature", "signature", "KMSInvalidSignatureException"},
		{types.KeySpecHmac256, "VerifyMac", "HMAC_SHA_256", "Mac", "mac", "KMSInvalidMacException"},
	} {
		id := k.AddKey(tt.spec)
		const format = `{"KeyId":%q,"Message":"bQ==",%q:%q,%q:%s,"DryRun":%t}`
		algorithm := map[string]string{"Verify": "SigningAlgorithm", "VerifyMac": "MacAlgorithm"}[tt.op]
		for _, n := range []int{1, 8, 31, 32, 63, 64, 65, 72, 255, 256, 257, 2420, 6144} {
			for _, dry := range []bool{false, true} {
				blob := strconv.Quote(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x30}, n)))
				_, got, _ := to(k, tt.op, fmt.Sprintf(format, id, algorithm, tt.alg, tt.blob, blob, dry)).send(t, s)
				if got != `{"__type":"`+tt.failed+`"}` {
					t.Errorf("%s, %d bytes, dry run %t: %s", tt.spec, n, dry, got)
				}
			}
		}
		for blob, constraint := range map[string]string{
			`""`:   "Value at '" + tt.member + "' failed to satisfy constraint: Member must have length greater than or equal to 1",
			"null": "Value null at '" + tt.member + "' failed to satisfy constraint: Member must not be null",
			strconv.Quote(base64.StdEncoding.EncodeToString(make([]byte, 6145))): "Value at '" + tt.member + "' failed to satisfy constraint: Member must have length less than or equal to 6144",
		} {
			_, got, _ := to(k, tt.op, fmt.Sprintf(format, id, algorithm, tt.alg, tt.blob, blob, true)).send(t, s)
			if got != `{"__type":"ValidationException","message":"1 validation error detected: `+constraint+`"}` {
				t.Errorf("%s: %s\nwant %s", tt.spec, got, constraint)
			}
		}
	}
}
