package kmstest

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestStateOfDetails checks that policies, grants, descriptions, rotation and
// imported material are the same after a restart.
func TestStateOfDetails(t *testing.T) {
	k := open(t, stateOf(t))
	f := fake{k, k, t}
	ctx := t.Context()
	id, symmetric, imported := k.AddKey(p256), k.AddKey(types.KeySpecSymmetricDefault), f.imported(p256)
	must[kms.PutKeyPolicyOutput](t)(k.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &id, Policy: aws.String(signerPolicy)}))
	must[kms.UpdateKeyDescriptionOutput](t)(k.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &id, Description: aws.String("tokens & <more>")}))
	granted := must[kms.CreateGrantOutput](t)(k.CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId: &id, Name: aws.String("a"), GranteePrincipal: aws.String(grantee), Operations: []types.GrantOperation{"Sign"},
		Constraints: &types.GrantConstraints{SourceArn: aws.String("arn:aws:s3:::bucket")},
	}))
	must[kms.EnableKeyRotationOutput](t)(k.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: &symmetric, RotationPeriodInDays: aws.Int32(100)}))
	_, der := newP256(t)
	unused := f.importing(imported, der, oaep256)
	must[kms.ImportKeyMaterialOutput](t)(k.ImportKeyMaterial(ctx, f.importing(imported, der, oaep256)))
	given, err := k.AddPrivateKey("", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	all := func(k *KMS) map[string]details {
		out := map[string]details{}
		for id, key := range k.keys {
			out[id] = key.details
		}
		return out
	}
	before, err := json.Marshal(all(k))
	if err != nil {
		t.Fatal(err)
	}
	k = reopen(t, k)
	f = fake{k, k, t}
	after, err := json.Marshal(all(k))
	if err != nil || string(after) != string(before) {
		t.Errorf("%v\n%s\n%s", err, before, after)
	}
	if got := must[kms.GetKeyPolicyOutput](t)(k.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &given})); *got.Policy == "" {
		t.Error("a given key has no policy")
	}
	grants := must[kms.ListGrantsOutput](t)(k.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &id})).Grants
	if len(grants) != 1 || *grants[0].GrantId != *granted.GrantId || *grants[0].Constraints.SourceArn != "arn:aws:s3:::bucket" || *grants[0].Name != "a" {
		t.Errorf("%+v", grants)
	}
	// The grant that is there is not made again, and its token still names it.
	again := must[kms.CreateGrantOutput](t)(k.CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId: &id, Name: aws.String("a"), GranteePrincipal: aws.String(grantee), Operations: []types.GrantOperation{"Sign"},
		Constraints: &types.GrantConstraints{SourceArn: aws.String("arn:aws:s3:::bucket")},
	}))
	if *again.GrantId != *granted.GrantId {
		t.Error("a second grant")
	}
	must[kms.RetireGrantOutput](t)(k.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: granted.GrantToken}))
	if s := must[kms.GetKeyRotationStatusOutput](t)(k.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &symmetric})); *s.RotationPeriodInDays != 100 {
		t.Errorf("%+v", s)
	}
	f.mustSign(signInput(imported, []byte("m"), es256))
	must[kms.ImportKeyMaterialOutput](t)(k.ImportKeyMaterial(ctx, unused)) // its token is still known
}

// TestDetailsArePlain checks that all fields of details are exported, so that
// none is lost in a state file.
func TestDetailsArePlain(t *testing.T) {
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Slice, reflect.Pointer:
			walk(typ.Elem())
		case reflect.Struct:
			if typ.PkgPath() != reflect.TypeFor[details]().PkgPath() {
				return
			}
			for i := range typ.NumField() {
				if f := typ.Field(i); !f.IsExported() {
					t.Errorf("%v.%s is not exported", typ, f.Name)
				} else {
					walk(f.Type)
				}
			}
		}
	}
	walk(reflect.TypeFor[details]())
}
