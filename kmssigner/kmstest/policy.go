package kmstest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// defaultPolicy is the format of the policy of a key that is created without
// one. Its arguments are the partition and the account ID.
const defaultPolicy = `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:%s:iam::%s:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`

// defaultPolicyName is the only name that a key policy can have.
const defaultPolicyName = "default"

func (k *KMS) getKeyPolicy(in *kms.GetKeyPolicyInput) (*kms.GetKeyPolicyOutput, error) {
	var out *kms.GetKeyPolicyOutput
	err := k.change("GetKeyPolicy", in.KeyId, func(key *key) error {
		if name := in.PolicyName; name != nil && *name != defaultPolicyName {
			return unrecorded("NotFoundException", "No such policy exists")
		}
		out = &kms.GetKeyPolicyOutput{Policy: aws.String(key.Policy), PolicyName: aws.String(defaultPolicyName)}
		return nil
	})
	return out, err
}

// putKeyPolicy works in every state of a key, according to the documentation.
func (k *KMS) putKeyPolicy(in *kms.PutKeyPolicyInput) error {
	if name := in.PolicyName; name != nil && *name != defaultPolicyName {
		return unrecorded("UnsupportedOperationException", "The policy name must be %s", defaultPolicyName)
	}
	policy, err := k.newPolicy(in.Policy, in.BypassPolicyLockoutSafetyCheck)
	if err != nil {
		return err
	}
	return k.change("PutKeyPolicy", in.KeyId, func(key *key) error {
		key.Policy = policy
		return nil
	})
}

func (k *KMS) listKeyPolicies(in *kms.ListKeyPoliciesInput) (*kms.ListKeyPoliciesOutput, error) {
	var out *kms.ListKeyPoliciesOutput
	err := k.change("ListKeyPolicies", in.KeyId, func(*key) error {
		names, next, err := page([]string{defaultPolicyName}, in.Limit, 100, 1000, in.Marker)
		out = &kms.ListKeyPoliciesOutput{NextMarker: next, PolicyNames: names, Truncated: next != nil}
		return err
	})
	return out, err
}

// newPolicy checks a policy and returns it in the form in which KMS stores it.
// If it is nil, newPolicy returns the default policy. With bypass it does not
// check that the policy can be changed later.
//
// The fake does not use policies. It refuses only what KMS has been seen to
// refuse and what it can know without IAM.
func (k *KMS) newPolicy(text *string, bypass bool) (string, error) {
	if text == nil {
		return fmt.Sprintf(defaultPolicy, k.opts.Partition, k.opts.AccountID), nil
	}
	malformed := func(text string) (string, error) {
		return "", refuse("MalformedPolicyDocumentException", "%s", text)
	}
	var p policy
	if err := json.Unmarshal([]byte(*text), &p); err != nil {
		return "", unrecorded("MalformedPolicyDocumentException", "The new key policy is not valid.")
	}
	lockout := true
	for _, s := range p.Statement {
		aws := s.Principal["AWS"]
		if !slices.ContainsFunc(aws, func(p string) bool { return !principalForm.MatchString(p) }) {
			lockout = lockout && !(s.Effect == "Allow" && s.Action.allows("kms:PutKeyPolicy") && slices.ContainsFunc(aws, k.owns))
			continue
		}
		return malformed("Policy contains a statement with one or more invalid principals.")
	}
	if lockout && !bypass {
		return malformed("The new key policy will not allow you to update the key policy in the future.")
	}
	return layout(*text, k.opts.Partition)
}

// policy is the part of a key policy that the fake looks at.
type policy struct {
	Statement list[statement]
}

type statement struct {
	Effect    string
	Principal principals
	Action    actions
}

// principalForm is the form of an AWS principal in a policy: everybody, an
// account, an IAM or STS principal other than a group, or the unique ID of a
// principal, which KMS shows after it is deleted.
var principalForm = regexp.MustCompile(`^(?:\*|[0-9]{12}|arn:[^:]+:iam::[0-9]{12}:(?:root|(?:user|role)/.+)|arn:[^:]+:sts::[0-9]{12}:(?:assumed-role|federated-user)/.+|A[A-Z0-9]{15,})$`)

// owns reports whether an AWS principal can be one of the account of k. The
// fake does not know which of them makes a call.
func (k *KMS) owns(principal string) bool {
	return principal == "*" || principal == k.opts.AccountID || strings.Contains(principal, "::"+k.opts.AccountID+":")
}

// list is a JSON value or an array of them.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	var one T
	err := json.Unmarshal(b, &one)
	*l = list[T]{one}
	return err
}

// principals has the principals of a statement by their type, such as AWS. A
// policy can have "*" in place of {"AWS": "*"}.
type principals map[string]list[string]

func (p *principals) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return json.Unmarshal(b, (*map[string]list[string])(p))
	}
	var one string
	err := json.Unmarshal(b, &one)
	*p = principals{"AWS": {one}}
	return err
}

// actions are the actions of a statement, in which * stands for any text.
type actions struct{ list[string] }

// allows reports whether the actions include one, whose case does not matter.
func (a actions) allows(action string) bool {
	return slices.ContainsFunc(a.list, func(s string) bool {
		form := strings.ReplaceAll(strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, `.*`), `\?`, `.`)
		return regexp.MustCompile(`(?i)^` + form + `$`).MatchString(action)
	})
}
