package kmstest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestKeyPolicy reads the default policy, and puts others.
func TestKeyPolicy(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		id := f.kms.AddKey(p256)
		get := func() string {
			t.Helper()
			out, err := f.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &id})
			if err != nil || *out.PolicyName != "default" {
				t.Fatal(out, err)
			}
			return *out.Policy
		}
		usual := fmt.Sprintf(defaultPolicy, "aws", "111122223333")
		if got := get(); got != usual {
			t.Errorf("default policy %s", got)
		}
		put := func(policy string, edit ...func(*kms.PutKeyPolicyInput)) error {
			in := &kms.PutKeyPolicyInput{KeyId: &id, Policy: &policy, PolicyName: aws.String("default")}
			for _, fn := range edit {
				fn(in)
			}
			_, err := f.PutKeyPolicy(ctx, in)
			return err
		}

		// The layout is that of KMS, whatever was put.
		const compact = `{"Statement":{"Resource":["*"],"Condition":{"StringEquals":{"kms:ViaService":[],"kms:RequestAlias":["alias/a","alias/<b>"]},"Bool":{}},"Action":["kms:Put*"],"Principal":{"AWS":["111122223333","*"]},"Effect":"Allow","x":1.50},"Version":"2012-10-17"}`
		if err := put(compact); err != nil {
			t.Fatal(err)
		}
		if got, want := get(), `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : [ "arn:aws:iam::111122223333:root", "*" ]
    },
    "Action" : "kms:Put*",
    "Resource" : "*",
    "Condition" : {
      "StringEquals" : {
        "kms:RequestAlias" : [ "alias/a", "alias/<b>" ],
        "kms:ViaService" : [ ]
      },
      "Bool" : { }
    },
    "x" : 1.50
  } ]
}`; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		stored := get()
		const (
			locked  = "The new key policy will not allow you to update the key policy in the future."
			invalid = "Policy contains a statement with one or more invalid principals."
		)
		statement := func(principal, action string) string {
			return `{"Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":` + action + `,"Resource":"*"}]}`
		}
		for _, tt := range []struct{ reason, policy, message string }{
			{"not JSON", `{`, "The new key policy is not valid."},
			{"not an object", `[]`, "The new key policy is not valid."},
			{"not a list of actions", statement(`"*"`, `7`), "The new key policy is not valid."},
			{"no statement", `{}`, locked},
			{"nobody may change it", statement(`{"AWS":"arn:aws:iam::111122223333:root"}`, `["kms:Sign","kms:Get*","kms:PutKey"]`), locked},
			{"another account may change it", statement(`{"AWS":"arn:aws:iam::444455556666:root"}`, `"kms:*"`), locked},
			{"a service may change it", statement(`{"Service":"s3.amazonaws.com"}`, `"kms:*"`), locked},
			{"it is denied", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}]}`, locked},
			{"not a principal", statement(`{"AWS":["111122223333","admin"]}`, `"kms:*"`), invalid},
			{"a group", statement(`{"AWS":"arn:aws:iam::111122223333:group/admins"}`, `"kms:*"`), invalid},
			{"no account", statement(`{"AWS":"arn:aws:iam:::root"}`, `"kms:*"`), invalid},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				check(t, put(tt.policy), "PutKeyPolicy", "MalformedPolicyDocumentException", tt.message)
				_, err := f.CreateKey(ctx, &kms.CreateKeyInput{Policy: &tt.policy})
				check(t, err, "CreateKey", "MalformedPolicyDocumentException", tt.message)
				bypass := put(tt.policy, func(in *kms.PutKeyPolicyInput) { in.BypassPolicyLockoutSafetyCheck = true })
				if tt.message == locked && bypass != nil {
					t.Error(bypass)
				}
			})
		}
		for _, principal := range []string{`"*"`, `{"AWS":"*"}`, `{"AWS":"111122223333"}`, `{"AWS":["arn:aws:iam::111122223333:user/a","arn:aws:iam::444455556666:root"]}`,
			`{"AWS":"arn:aws:sts::111122223333:assumed-role/a/b"}`, `{"AWS":["AROAEXAMPLEEXAMPLEXX","111122223333"]}`} {
			for _, action := range []string{`"kms:*"`, `"*"`, `["kms:Sign","kms:putkeypolicy"]`, `"kms:PutKeyPolic?"`} {
				if err := put(statement(principal, action)); err != nil {
					t.Errorf("%s %s: %v", principal, action, err)
				}
			}
		}
		if err := put(stored); err != nil || get() != stored {
			t.Errorf("a stored policy is not stored as it is: %v", err)
		}

		check(t, put(compact, func(in *kms.PutKeyPolicyInput) { in.PolicyName = aws.String("other") }),
			"PutKeyPolicy", "UnsupportedOperationException", "The policy name must be default")
		_, err := f.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &id, PolicyName: aws.String("other")})
		check(t, err, "GetKeyPolicy", "NotFoundException", "No such policy exists")
		check(t, put("日"), "PutKeyPolicy", "ValidationException", `1 validation error detected: Value '日' at 'policy' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`)
		names, err := f.ListKeyPolicies(ctx, &kms.ListKeyPoliciesInput{KeyId: &id})
		if err != nil || !slices.Equal(names.PolicyNames, []string{"default"}) || names.Truncated {
			t.Errorf("%+v, %v", names, err)
		}

		// A policy can be read and put in every state.
		f.scheduleDeletion(id)
		if err := put(compact); err != nil || get() == usual {
			t.Error(err)
		}
	})
}
