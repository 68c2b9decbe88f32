package kmstest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

const (
	grantee  = "arn:aws:iam::111122223333:role/signer"
	retiring = "arn:aws:iam::111122223333:role/admin"
)

// TestGrants creates, lists, retires and revokes grants.
func TestGrants(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		id, other := f.kms.AddKey(p256), f.kms.AddKey(p256)
		arn := f.kms.arn("key/" + id)
		in := func(id, name string) *kms.CreateGrantInput {
			return &kms.CreateGrantInput{
				KeyId: &id, Name: &name, GranteePrincipal: aws.String(grantee), RetiringPrincipal: aws.String(retiring),
				Operations: []types.GrantOperation{types.GrantOperationSign, types.GrantOperationGetPublicKey},
			}
		}
		create := func(in *kms.CreateGrantInput) *kms.CreateGrantOutput {
			t.Helper()
			out, err := f.CreateGrant(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		list := func(in kms.ListGrantsInput) []types.GrantListEntry {
			t.Helper()
			if in.KeyId == nil {
				in.KeyId = &id
			}
			out, err := f.ListGrants(ctx, &in)
			if err != nil {
				t.Fatal(err)
			}
			return out.Grants
		}
		if got := list(kms.ListGrantsInput{}); len(got) != 0 {
			t.Errorf("a new key has grants: %+v", got)
		}
		first := create(in(id, "a"))
		got := list(kms.ListGrantsInput{KeyId: &arn})
		if len(got) != 1 {
			t.Fatalf("%d grants", len(got))
		}
		want := types.GrantListEntry{
			CreationDate:      got[0].CreationDate,
			GrantId:           first.GrantId,
			GranteePrincipal:  aws.String(grantee),
			IssuingAccount:    aws.String("arn:aws:iam::111122223333:root"),
			KeyId:             &arn,
			Name:              aws.String("a"),
			Operations:        []types.GrantOperation{"Sign", "GetPublicKey"},
			RetiringPrincipal: aws.String(retiring),
		}
		if !reflect.DeepEqual(got[0], want) || got[0].CreationDate == nil || len(*first.GrantId) != 64 {
			t.Errorf("%+v\nwant %+v", got[0], want)
		}

		// The same name and terms are the same grant, with a token of its own.
		again := create(in(id, "a"))
		if *again.GrantId != *first.GrantId || *again.GrantToken == *first.GrantToken {
			t.Errorf("repeated: %s, was %s", *again.GrantId, *first.GrantId)
		}
		second := create(in(id, "b"))
		elsewhere := create(in(other, "a"))
		unnamed := in(id, "")
		unnamed.Name = nil
		third, fourth := create(unnamed), create(unnamed)
		if *third.GrantId == *fourth.GrantId {
			t.Error("two grants without a name are one")
		}
		if got := list(kms.ListGrantsInput{GrantId: third.GrantId}); len(got) != 1 || got[0].Name == nil || *got[0].Name != "" {
			t.Errorf("unnamed grant: %+v", got)
		}
		if n := len(list(kms.ListGrantsInput{GranteePrincipal: aws.String(grantee)})); n != 4 {
			t.Errorf("%d grants of the grantee, want 4", n)
		}
		if n := len(list(kms.ListGrantsInput{GranteePrincipal: aws.String(retiring)})); n != 0 {
			t.Errorf("%d grants of a principal without any", n)
		}
		p := kms.NewListGrantsPaginator(f, &kms.ListGrantsInput{KeyId: &id, Limit: aws.Int32(3)})
		n := 0
		for p.HasMorePages() {
			out, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			n += len(out.Grants)
		}
		if n != 4 {
			t.Errorf("%d grants in pages, want 4", n)
		}

		// A grant is for a key in one Region, but its retiring principal sees
		// all grants in the Region.
		retirable, err := f.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(retiring)})
		if err != nil || len(retirable.Grants) != 5 {
			t.Errorf("%d retirable grants, %v", len(retirable.Grants), err)
		}

		revoke := func(id, grant string) error {
			_, err := f.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &id, GrantId: &grant})
			return err
		}
		check(t, revoke(id, *elsewhere.GrantId), "RevokeGrant", "NotFoundException", "Grant ID "+*elsewhere.GrantId+" not found")
		if err := revoke(id, *second.GrantId); err != nil {
			t.Error(err)
		}
		check(t, revoke(id, *second.GrantId), "RevokeGrant", "NotFoundException", "Grant ID "+*second.GrantId+" not found")
		retire := func(in kms.RetireGrantInput) error { _, err := f.RetireGrant(ctx, &in); return err }
		check(t, retire(kms.RetireGrantInput{GrantToken: again.GrantToken, DryRun: aws.Bool(true)}), "RetireGrant", "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
		if err := retire(kms.RetireGrantInput{GrantToken: again.GrantToken}); err != nil { // either token will do
			t.Error(err)
		}
		check(t, retire(kms.RetireGrantInput{GrantToken: first.GrantToken}), "RetireGrant", "InvalidGrantTokenException", "Invalid grant token")
		if err := retire(kms.RetireGrantInput{KeyId: &arn, GrantId: third.GrantId}); err != nil {
			t.Error(err)
		}
		check(t, retire(kms.RetireGrantInput{KeyId: &arn}), "RetireGrant", "ValidationException", "You must specify either a GrantToken, or a KeyId and a GrantId.")
		if got := list(kms.ListGrantsInput{}); len(got) != 1 || *got[0].GrantId != *fourth.GrantId {
			t.Errorf("left: %+v", got)
		}

		// A disabled key keeps its grants and gets no new ones.
		f.disable(id)
		_, err = f.CreateGrant(ctx, in(id, "c"))
		check(t, err, "CreateGrant", "DisabledException", arn+" is disabled.")
		f.scheduleDeletion(id)
		_, err = f.CreateGrant(ctx, in(id, "c"))
		check(t, err, "CreateGrant", "KMSInvalidStateException", arn+" is pending deletion.")
		if n := len(list(kms.ListGrantsInput{})); n != 1 {
			t.Errorf("%d grants, want 1", n)
		}
	})
}

func TestCreateGrantRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ids := map[types.KeySpec]string{}
		for _, spec := range []types.KeySpec{p256, types.KeySpecHmac256, types.KeySpecSymmetricDefault} {
			ids[spec] = f.kms.AddKey(spec)
		}
		ok := func(spec types.KeySpec, edit func(*kms.CreateGrantInput)) *kms.CreateGrantInput {
			in := &kms.CreateGrantInput{KeyId: aws.String(ids[spec]), GranteePrincipal: aws.String(grantee), Operations: []types.GrantOperation{"DescribeKey"}}
			edit(in)
			return in
		}
		sourceArn := &types.GrantConstraints{SourceArn: aws.String("arn:aws:s3:::bucket")}
		for _, tt := range []struct {
			reason        string
			in            *kms.CreateGrantInput
			code, message string
		}{
			{"nobody to grant it to", ok(p256, func(in *kms.CreateGrantInput) { in.GranteePrincipal = nil }),
				"ValidationException", "You must specify either GranteePrincipal or GranteeServicePrincipal, but not both."},
			{"no operation", ok(p256, func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{} }),
				"ValidationException", "A grant must have an operation."},
			{"nothing but CreateGrant", ok(p256, func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{"CreateGrant"} }),
				"ValidationException", "Grants must not contain only the CreateGrant operation."},
			{"an operation that is none", ok(p256, func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{"Sign", "ListGrants"} }),
				"ValidationException", "1 validation error detected: Value '[Sign, ListGrants]' at 'operations' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [*"},
			{"an operation of symmetric keys", ok(p256, func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{"Sign", "Decrypt"} }),
				"ValidationException", "Operation Decrypt is not supported on a KMS key with key usage SIGN_VERIFY."},
			{"an operation of signing keys", ok(types.KeySpecHmac256, func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{"Sign"} }),
				"ValidationException", "Operation Sign is not supported on a KMS key with key usage GENERATE_VERIFY_MAC."},
			{"no encryption context to constrain", ok(p256, func(in *kms.CreateGrantInput) {
				in.Constraints = &types.GrantConstraints{EncryptionContextEquals: map[string]string{"a": "b"}}
			}), "ValidationException", "Encryption context constraints are supported only on symmetric encryption KMS keys."},
			{"an alias", ok(p256, func(in *kms.CreateGrantInput) { in.KeyId = aws.String("alias/a") }),
				"InvalidArnException", "Key Aliases are not supported for this operation."},
			{"a principal with a space", ok(p256, func(in *kms.CreateGrantInput) { in.GranteePrincipal = aws.String("a b") }),
				"ValidationException", "1 validation error detected: Value 'a b' at 'granteePrincipal' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\\w+=,.@:/-]+$"},
			{"a service without a source", ok(p256, func(in *kms.CreateGrantInput) {
				in.GranteePrincipal, in.GranteeServicePrincipal = nil, aws.String("s3.amazonaws.com")
			}), "ValidationException", "A grant with a GranteeServicePrincipal must have a SourceArn constraint."},
			{"a service without one to retire the grant", ok(p256, func(in *kms.CreateGrantInput) {
				in.GranteePrincipal, in.GranteeServicePrincipal, in.Constraints = nil, aws.String("s3.amazonaws.com"), sourceArn
			}), "ValidationException", "A grant with a GranteeServicePrincipal must have a RetiringPrincipal or a RetiringServicePrincipal."},
			{"a dry run", ok(p256, func(in *kms.CreateGrantInput) { in.DryRun = aws.Bool(true) }),
				"DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				_, err := f.CreateGrant(t.Context(), tt.in)
				checkPrefix(t, err, "CreateGrant", tt.code, tt.message)
			})
		}
		for _, id := range ids {
			if out, err := f.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: &id}); err != nil || len(out.Grants) > 0 {
				t.Errorf("refusals left grants behind: %+v, %v", out, err)
			}
		}
		both := &kms.ListRetirableGrantsInput{}
		_, err := f.ListRetirableGrants(t.Context(), both)
		check(t, err, "ListRetirableGrants", "ValidationException", "You must specify either RetiringPrincipal or RetiringServicePrincipal, but not both.")
		_, err = f.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: aws.String(ids[p256]), GrantId: aws.String("x")})
		check(t, err, "ListGrants", "NotFoundException", "Grant ID x not found")

		// Grants to services, and constraints of symmetric keys, are stored.
		if _, err := f.CreateGrant(t.Context(), ok(types.KeySpecSymmetricDefault, func(in *kms.CreateGrantInput) {
			in.GranteePrincipal, in.GranteeServicePrincipal, in.RetiringServicePrincipal = nil, aws.String("s3.amazonaws.com"), aws.String("s3.amazonaws.com")
			in.Constraints = &types.GrantConstraints{SourceArn: sourceArn.SourceArn, EncryptionContextSubset: map[string]string{"a": "b"}}
		})); err != nil {
			t.Fatal(err)
		}
		out, err := f.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: aws.String(ids[types.KeySpecSymmetricDefault]), GranteeServicePrincipal: aws.String("s3.amazonaws.com")})
		if err != nil || len(out.Grants) != 1 || out.Grants[0].Constraints.EncryptionContextSubset["a"] != "b" || out.Grants[0].GranteePrincipal != nil {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

func TestGrantQuota(t *testing.T) {
	k := New()
	id := k.AddKey(p256)
	for i := range maxGrants {
		k.keys[id].Grants = append(k.keys[id].Grants, grant{ID: fmt.Sprint(i)})
	}
	_, err := k.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: &id, GranteePrincipal: aws.String(grantee), Operations: []types.GrantOperation{"Sign"}})
	check(t, err, "CreateGrant", "LimitExceededException", "Grants per key quota for this account in this region is 50000, current usage is 50000.")
}

// TestGrantTokens checks that a token from CreateGrant has the form that
// operations accept.
func TestGrantTokens(t *testing.T) {
	k := New()
	id := k.AddKey(p256)
	out, err := k.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: &id, GranteePrincipal: aws.String(grantee), Operations: []types.GrantOperation{"Sign"}})
	if err != nil {
		t.Fatal(err)
	}
	in := signInput(id, []byte("m"), es256)
	in.GrantTokens = []string{*out.GrantToken}
	if _, err := k.Sign(t.Context(), in); err != nil {
		t.Error(err)
	}
	in.GrantTokens = []string{strings.Repeat("x", 8193)}
	_, err = k.Sign(t.Context(), in)
	check(t, err, "Sign", "ValidationException", "1 validation error detected: Value '"+in.GrantTokens[0]+"' at 'grantTokens.1.member' failed to satisfy constraint: Member must have length less than or equal to 8192")
}
