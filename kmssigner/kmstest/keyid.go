package kmstest

import (
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

var (
	keyIDForm = regexp.MustCompile(`^(?:(?i:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|mrk-(?i:[0-9a-f]{32}))$`)
	arnForm   = regexp.MustCompile(`^arn:([^:]+):kms:([^:]+):([0-9]{12}):(key/[^/:]+|alias/.+)$`)
)

// find returns the key with an identifier: a key ID, key ARN, alias name or
// alias ARN. Identifiers are case-sensitive. The caller must hold k.mu.
func (k *KMS) find(operation, id string) (*key, error) {
	name, isARN := id, strings.HasPrefix(id, "arn:")
	if isARN {
		resource, err := k.localResource(operation, id)
		if err != nil {
			return nil, err
		}
		name = strings.TrimPrefix(resource, "key/")
	}
	if strings.HasPrefix(name, "alias/") {
		a, ok := k.aliases[name]
		if !ok {
			return nil, notFound("Alias %s is not found.", k.arn(name))
		}
		return k.keys[a.target], nil
	}
	found, ok := k.keys[name]
	switch {
	case ok:
		return found, nil
	case !keyIDForm.MatchString(name) && isARN:
		return nil, notFound("Invalid keyId %s", name) // KMS omits the quotes here
	case !keyIDForm.MatchString(name):
		return nil, notFound("Invalid keyId '%s'", name)
	}
	return nil, notFound("Key '%s' does not exist", k.arn("key/"+name))
}

// localResource returns the resource of an ARN of this account and Region. It
// returns an error for another Region, as KMS does, and for another account,
// because the fake has no policies that allow the access.
func (k *KMS) localResource(operation, arn string) (string, error) {
	m := arnForm.FindStringSubmatch(arn)
	if m == nil {
		// InvalidArnException is not among the errors of these operations in
		// the service model.
		switch operation {
		case "Sign", "Verify", "GenerateMac", "VerifyMac", "CreateAlias", "UpdateAlias":
			return "", notFound("Invalid arn %s", arn)
		}
		return "", refuse("InvalidArnException", "Invalid arn %s", arn)
	}
	switch partition, region, account := m[1], m[2], m[3]; {
	case region != k.opts.Region:
		return "", notFound("Invalid arn %s", region)
	case partition != k.opts.Partition:
		return "", notFound("Invalid arn %s", partition)
	case account != k.opts.AccountID:
		return "", refuse("AccessDeniedException", "User: arn:%s:iam::%s:user/kmstest is not authorized to perform: kms:%s on resource: %s "+
			"because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access",
			k.opts.Partition, k.opts.AccountID, operation, arn)
	}
	return m[4], nil
}

// findNoAlias is find for operations that take a key ID or a key ARN only. They
// refuse an alias, whether or not it exists.
func (k *KMS) findNoAlias(operation, id string) (*key, error) {
	if isAlias(id) {
		return nil, refuse("InvalidArnException", "Key Aliases are not supported for this operation.")
	}
	return k.find(operation, id)
}

// isAlias reports whether id is an alias name or an alias ARN.
func isAlias(id string) bool {
	return strings.HasPrefix(id, "alias/") || strings.Contains(id, ":alias/")
}

// forUse returns the key for a cryptographic operation. It checks the
// existence, the usage and the state of the key, in the order of recordings of
// KMS. The key is a copy, so the caller need not hold k.mu to use it.
func (k *KMS) forUse(operation, id string, usage types.KeyUsageType) (key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, err := k.find(operation, id)
	if err != nil {
		return key{}, err
	}
	if found.usage != usage {
		return key{}, refuse("InvalidKeyUsageException", "%s key usage is %s which is not valid for %s.", found.arn, found.usage, operation)
	}
	if found.state != types.KeyStateEnabled {
		return key{}, badState(found.arn, found.state)
	}
	return *found, nil
}
