//lint:file-ignore SA1019 KMS still answers CustomerMasterKeySpec.

package kmstest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestEverySpec checks that the fake makes keys of each spec of the SDK and
// each usage of the spec, and describes them with the algorithms of the usage.
func TestEverySpec(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		for _, name := range types.KeySpec("").Values() {
			s, ok := specs[name]
			if !ok {
				t.Errorf("no %s", name)
				continue
			}
			for _, usage := range s.usages {
				out, err := f.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: name, KeyUsage: usage})
				if err != nil {
					t.Errorf("%s for %s: %v", name, usage, err)
					continue
				}
				md := out.KeyMetadata
				if md.KeySpec != name || string(md.CustomerMasterKeySpec) != string(name) || md.KeyUsage != usage {
					t.Errorf("%s for %s is described as %+v", name, usage, md)
				}
				for of, n := range map[types.KeyUsageType]int{
					signVerify:        len(md.SigningAlgorithms),
					generateVerifyMac: len(md.MacAlgorithms),
					encryptDecrypt:    len(md.EncryptionAlgorithms),
					keyAgreement:      len(md.KeyAgreementAlgorithms),
					encapsulate:       len(md.EncapsulationAlgorithms),
				} {
					if (n > 0) != (of == usage) {
						t.Errorf("%s for %s has %d algorithms of %s", name, usage, n, of)
					}
				}
				public, err := f.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: md.KeyId})
				if strings.HasPrefix(string(name), "HMAC_") || name == types.KeySpecSymmetricDefault {
					check(t, err, "GetPublicKey", "UnsupportedOperationException", "")
					continue
				}
				if err != nil {
					t.Errorf("%s for %s: %v", name, usage, err)
					continue
				}
				want := &kms.GetPublicKeyOutput{
					CustomerMasterKeySpec:   md.CustomerMasterKeySpec,
					EncapsulationAlgorithms: md.EncapsulationAlgorithms,
					EncryptionAlgorithms:    md.EncryptionAlgorithms,
					KeyAgreementAlgorithms:  md.KeyAgreementAlgorithms,
					KeyId:                   md.Arn,
					KeySpec:                 name,
					KeyUsage:                usage,
					PublicKey:               public.PublicKey,
					SigningAlgorithms:       md.SigningAlgorithms,
					ResultMetadata:          public.ResultMetadata,
				}
				if !reflect.DeepEqual(public, want) || len(public.PublicKey) == 0 {
					t.Errorf("GetPublicKey = %+v\nwant %+v", public, want)
				}
			}
		}
	}, inChina)
}

// TestUsages checks pairs of spec and usage that KMS refuses.
func TestUsages(t *testing.T) {
	k := New(inChina)
	for name, s := range specs {
		for _, usage := range types.KeyUsageType("").Values() {
			fits := false
			for _, u := range s.usages {
				fits = fits || u == usage
			}
			if fits {
				continue
			}
			_, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: name, KeyUsage: usage})
			check(t, err, "CreateKey", "ValidationException", "KeyUsage "+string(usage)+" is not compatible with KeySpec "+string(name))
		}
		if name != types.KeySpecSymmetricDefault {
			_, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: name})
			check(t, err, "CreateKey", "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
		}
	}
}
