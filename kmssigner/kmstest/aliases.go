package kmstest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// alias is an alias of a key.
type alias struct {
	target           string // key ID
	created, updated time.Time
}

// maxAliases is the quota of aliases of a key.
const maxAliases = 50

// checkAlias checks what KMS demands of an alias name besides the service
// model.
func checkAlias(name *string) error {
	rest, ok := strings.CutPrefix(*name, "alias/")
	switch {
	case !ok:
		return refuse("ValidationException", `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`)
	case rest == "":
		return refuse("ValidationException", "Invalid identifier")
	case strings.HasPrefix(rest, "aws/"):
		// The prefix is reserved for AWS managed keys. The error has no text in
		// KMS.
		return refuse("NotAuthorizedException", "")
	case strings.Contains(rest, ":"):
		return refuse("ValidationException", "%s contains invalid characters for an alias", *name)
	}
	return nil
}

// aliasTarget returns the key for an alias. The caller must hold k.mu.
func (k *KMS) aliasTarget(operation, id string) (*key, error) {
	if isAlias(id) {
		return nil, refuse("ValidationException", "Aliases must refer to keys. Not aliases")
	}
	key, err := k.find(operation, id)
	if err == nil && key.deletionScheduled() {
		return nil, badState(key.arn, key.state)
	}
	return key, err
}

// roomForAlias returns an error if a key has as many aliases as the quota
// allows. The caller must hold k.mu. The text is recorded.
func (k *KMS) roomForAlias(key *key) error {
	n := 0
	for _, a := range k.aliases {
		if a.target == key.id {
			n++
		}
	}
	if n < maxAliases {
		return nil
	}
	return refuse("LimitExceededException", "Aliases per key quota for this account in this region is %d, current usage is %d.", maxAliases, n)
}

func (k *KMS) createAlias(in *kms.CreateAliasInput) error {
	if err := checkAlias(in.AliasName); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.aliasTarget("CreateAlias", *in.TargetKeyId)
	if err != nil {
		return err
	}
	if _, ok := k.aliases[*in.AliasName]; ok {
		return refuse("AlreadyExistsException", "An alias with the name %s already exists", k.arn(*in.AliasName))
	}
	if err := k.roomForAlias(key); err != nil {
		return err
	}
	k.aliases[*in.AliasName] = &alias{target: key.id, created: now(), updated: now()}
	return nil
}

func (k *KMS) updateAlias(in *kms.UpdateAliasInput) error {
	if err := checkAlias(in.AliasName); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.aliasTarget("UpdateAlias", *in.TargetKeyId)
	if err != nil {
		return err
	}
	a, ok := k.aliases[*in.AliasName]
	if !ok {
		return notFound("Alias %s is not found.", k.arn(*in.AliasName))
	}
	// The key spec may change, for example from P-256 to RSA. The usage and the
	// kind must stay the same.
	old := k.keys[a.target]
	if old.usage != key.usage || old.kind() != key.kind() {
		return refuse("ValidationException", "Alias %s cannot be changed from key %s to key %s: they must have the same type and the same key usage.",
			k.arn(*in.AliasName), old.arn, key.arn)
	}
	if old != key {
		if err := k.roomForAlias(key); err != nil {
			return err
		}
	}
	a.target, a.updated = key.id, now()
	return nil
}

// kind returns what UpdateAlias calls the type of a key. HMAC keys are a kind
// of their own in KMS, but they differ in their usage as well.
func (key *key) kind() string {
	if key.keySpec == types.KeySpecSymmetricDefault {
		return "symmetric"
	}
	return "asymmetric"
}

func (k *KMS) deleteAlias(in *kms.DeleteAliasInput) error {
	if err := checkAlias(in.AliasName); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.aliases[*in.AliasName]; !ok {
		return notFound("Alias %s is not found.", k.arn(*in.AliasName))
	}
	delete(k.aliases, *in.AliasName)
	return nil
}

func (k *KMS) listAliases(in *kms.ListAliasesInput) (*kms.ListAliasesOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := slices.Sorted(maps.Keys(k.aliases))
	if in.KeyId != nil {
		key, err := k.findNoAlias("ListAliases", *in.KeyId)
		if err != nil {
			return nil, err
		}
		names = slices.DeleteFunc(names, func(name string) bool { return k.aliases[name].target != key.id })
	}
	names, next, err := page(names, in.Limit, 50, 100, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &kms.ListAliasesOutput{Aliases: []types.AliasListEntry{}, NextMarker: next, Truncated: next != nil}
	for _, name := range names {
		a := k.aliases[name]
		out.Aliases = append(out.Aliases, types.AliasListEntry{
			AliasArn:        aws.String(k.arn(name)),
			AliasName:       aws.String(name),
			CreationDate:    aws.Time(a.created),
			LastUpdatedDate: aws.Time(a.updated),
			TargetKeyId:     aws.String(a.target),
		})
	}
	return out, nil
}
