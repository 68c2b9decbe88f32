package kmstest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"reflect"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// maxGrants is the quota of grants of a key.
const maxGrants = 50000

// grant is a grant of a key. It authorizes nothing.
type grant struct {
	ID      string
	Tokens  []string // any of them names the grant
	Created time.Time
	Terms   terms
}

// terms are what the caller of CreateGrant sets. Members are nil if absent.
type terms struct {
	Name                     *string
	Operations               []types.GrantOperation
	Constraints              *types.GrantConstraints
	GranteePrincipal         *string
	GranteeServicePrincipal  *string
	RetiringPrincipal        *string
	RetiringServicePrincipal *string
}

func (k *KMS) createGrant(in *kms.CreateGrantInput) (*kms.CreateGrantOutput, error) {
	t := terms{
		Name:                     in.Name,
		Operations:               in.Operations,
		Constraints:              in.Constraints,
		GranteePrincipal:         in.GranteePrincipal,
		GranteeServicePrincipal:  in.GranteeServicePrincipal,
		RetiringPrincipal:        in.RetiringPrincipal,
		RetiringServicePrincipal: in.RetiringServicePrincipal,
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	var out *kms.CreateGrantOutput
	err := k.change("CreateGrant", in.KeyId, func(key *key) error {
		if key.state != types.KeyStateEnabled {
			return badState(key.arn, key.state)
		}
		if err := key.checkGrant(t); err != nil {
			return err
		}
		// A grant with the same name and terms is not made again, but its token
		// is new.
		i := slices.IndexFunc(key.Grants, func(g grant) bool { return t.Name != nil && reflect.DeepEqual(g.Terms, t) })
		switch {
		case aws.ToBool(in.DryRun):
			return dryRun
		case i < 0 && len(key.Grants) >= maxGrants:
			// The text is that of the quota of aliases.
			return unrecorded("LimitExceededException", "Grants per key quota for this account in this region is %d, current usage is %d.", maxGrants, len(key.Grants))
		case i < 0:
			i = len(key.Grants)
			key.Grants = append(key.Grants, grant{ID: newGrantID(), Created: now(), Terms: t})
		}
		g := &key.Grants[i]
		token := newGrantToken()
		g.Tokens = append(g.Tokens, token)
		out = &kms.CreateGrantOutput{GrantId: aws.String(g.ID), GrantToken: aws.String(token)}
		return nil
	})
	return out, err
}

// check checks the terms without the key.
func (t terms) check() error {
	guess := func(text string) error { return unrecorded("ValidationException", "%s", text) }
	only := func(op types.GrantOperation) bool {
		return !slices.ContainsFunc(t.Operations, func(o types.GrantOperation) bool { return o != op })
	}
	switch {
	case (t.GranteePrincipal == nil) == (t.GranteeServicePrincipal == nil):
		return guess("You must specify either GranteePrincipal or GranteeServicePrincipal, but not both.")
	case t.RetiringPrincipal != nil && t.RetiringServicePrincipal != nil:
		return guess("You must not specify both RetiringPrincipal and RetiringServicePrincipal.")
	case t.GranteeServicePrincipal != nil && (t.Constraints == nil || t.Constraints.SourceArn == nil):
		return guess("A grant with a GranteeServicePrincipal must have a SourceArn constraint.")
	case t.GranteeServicePrincipal != nil && t.RetiringPrincipal == nil && t.RetiringServicePrincipal == nil:
		return guess("A grant with a GranteeServicePrincipal must have a RetiringPrincipal or a RetiringServicePrincipal.")
	case len(t.Operations) == 0:
		return guess("A grant must have an operation.")
	case only(types.GrantOperationCreateGrant):
		return refuse("ValidationException", "Grants must not contain only the CreateGrant operation.")
	}
	return nil
}

// grantOperations has the operations that a grant can permit for the keys of a
// usage, besides those in grantAlways. The documentation lists them.
var grantOperations = map[types.KeyUsageType][]types.GrantOperation{
	signVerify:        {"Sign", "Verify", "GetPublicKey"},
	generateVerifyMac: {"GenerateMac", "VerifyMac"},
	keyAgreement:      {"DeriveSharedSecret", "GetPublicKey"},
	encryptDecrypt: {"Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GetPublicKey",
		"GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"},
}

var grantAlways = []types.GrantOperation{"CreateGrant", "RetireGrant", "DescribeKey"}

// checkGrant checks terms against the key. KMS refuses operations that the key
// does not have.
func (key *key) checkGrant(t terms) error {
	for _, op := range t.Operations {
		if key.usage != encapsulate && !slices.Contains(grantAlways, op) && !slices.Contains(grantOperations[key.usage], op) {
			return unrecorded("ValidationException", "Operation %s is not supported on a KMS key with key usage %s.", op, key.usage)
		}
	}
	c := t.Constraints
	if c != nil && key.keySpec != types.KeySpecSymmetricDefault && (c.EncryptionContextEquals != nil || c.EncryptionContextSubset != nil) {
		return unrecorded("ValidationException", "Encryption context constraints are supported only on symmetric encryption KMS keys.")
	}
	return nil
}

func newGrantID() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func newGrantToken() string {
	var b [120]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

func (k *KMS) listGrants(in *kms.ListGrantsInput) (*kms.ListGrantsOutput, error) {
	var out *kms.ListGrantsOutput
	err := k.change("ListGrants", in.KeyId, func(key *key) error {
		wanted := func(g grant) bool {
			return matches(in.GrantId, &g.ID) && matches(in.GranteePrincipal, g.Terms.GranteePrincipal) &&
				matches(in.GranteeServicePrincipal, g.Terms.GranteeServicePrincipal)
		}
		entries := map[string]types.GrantListEntry{}
		k.addGrants(entries, key, wanted)
		if len(entries) == 0 && in.GrantId != nil {
			return unrecorded("NotFoundException", "Grant ID %s not found", *in.GrantId)
		}
		var err error
		out, err = grantPage(entries, in.Limit, in.Marker)
		return err
	})
	return out, err
}

// matches reports whether a filter is absent or equal to a value.
func matches(filter, value *string) bool {
	return filter == nil || value != nil && *filter == *value
}

func (k *KMS) listRetirableGrants(in *kms.ListRetirableGrantsInput) (*kms.ListRetirableGrantsOutput, error) {
	if (in.RetiringPrincipal == nil) == (in.RetiringServicePrincipal == nil) {
		return nil, unrecorded("ValidationException", "You must specify either RetiringPrincipal or RetiringServicePrincipal, but not both.")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	entries := map[string]types.GrantListEntry{}
	for _, key := range k.keys {
		k.addGrants(entries, key, func(g grant) bool {
			return matches(in.RetiringPrincipal, g.Terms.RetiringPrincipal) && matches(in.RetiringServicePrincipal, g.Terms.RetiringServicePrincipal)
		})
	}
	out, err := grantPage(entries, in.Limit, in.Marker)
	if err != nil {
		return nil, err
	}
	return &kms.ListRetirableGrantsOutput{Grants: out.Grants, NextMarker: out.NextMarker, Truncated: out.Truncated}, nil
}

// addGrants adds the entries of the wanted grants of a key, by grant ID.
func (k *KMS) addGrants(entries map[string]types.GrantListEntry, key *key, wanted func(grant) bool) {
	for _, g := range key.Grants {
		if !wanted(g) {
			continue
		}
		t := g.Terms
		entries[g.ID] = types.GrantListEntry{
			Constraints:              t.Constraints,
			CreationDate:             aws.Time(g.Created),
			GrantId:                  aws.String(g.ID),
			GranteePrincipal:         t.GranteePrincipal,
			GranteeServicePrincipal:  t.GranteeServicePrincipal,
			IssuingAccount:           aws.String("arn:" + k.opts.Partition + ":iam::" + k.opts.AccountID + ":root"),
			KeyId:                    aws.String(key.arn),
			Name:                     aws.String(aws.ToString(t.Name)), // present, even if empty
			Operations:               t.Operations,
			RetiringPrincipal:        t.RetiringPrincipal,
			RetiringServicePrincipal: t.RetiringServicePrincipal,
		}
	}
}

// grantPage returns a page of grants, sorted by ID.
func grantPage(entries map[string]types.GrantListEntry, limit *int32, marker *string) (*kms.ListGrantsOutput, error) {
	ids, next, err := page(sortedKeys(entries), limit, 50, 100, marker)
	if err != nil {
		return nil, err
	}
	out := &kms.ListGrantsOutput{Grants: []types.GrantListEntry{}, NextMarker: next, Truncated: next != nil}
	for _, id := range ids {
		out.Grants = append(out.Grants, entries[id])
	}
	return out, nil
}

func (k *KMS) revokeGrant(in *kms.RevokeGrantInput) error {
	return k.change("RevokeGrant", in.KeyId, func(key *key) error {
		return key.removeGrant(*in.GrantId, aws.ToBool(in.DryRun))
	})
}

// removeGrant removes a grant, unless the call is a dry run. The code for a
// grant that does not exist is recorded, and its text is not.
func (key *key) removeGrant(id string, dry bool) error {
	i := slices.IndexFunc(key.Grants, func(g grant) bool { return g.ID == id })
	switch {
	case i < 0:
		return unrecorded("NotFoundException", "Grant ID %s not found", id)
	case dry:
		return dryRun
	}
	key.Grants = slices.Delete(key.Grants, i, i+1)
	return nil
}

// retireGrant takes a grant token, or the ID of the grant and the ARN of its
// key.
func (k *KMS) retireGrant(in *kms.RetireGrantInput) error {
	if in.GrantToken == nil {
		if in.KeyId == nil || in.GrantId == nil {
			return unrecorded("ValidationException", "You must specify either a GrantToken, or a KeyId and a GrantId.")
		}
		return k.change("RetireGrant", in.KeyId, func(key *key) error { return key.removeGrant(*in.GrantId, aws.ToBool(in.DryRun)) })
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.keys {
		for _, g := range key.Grants {
			if slices.Contains(g.Tokens, *in.GrantToken) {
				return key.removeGrant(g.ID, aws.ToBool(in.DryRun))
			}
		}
	}
	return unrecorded("InvalidGrantTokenException", "Invalid grant token")
}
