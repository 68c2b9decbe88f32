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

// find resolves a key identifier of any form: key id, key ARN, alias name, alias
// ARN. All are case-sensitive. The caller holds k.mu.
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
		return nil, notFound("Invalid keyId %s", name) // without quotes, as in KMS
	case !keyIDForm.MatchString(name):
		return nil, notFound("Invalid keyId '%s'", name)
	}
	return nil, notFound("Key '%s' does not exist", k.arn("key/"+name))
}

// localResource returns what an ARN names in this account and Region, and
// refuses others: KMS does not look beyond the Region it is asked in, and the
// fake has no policy that would let one account use the keys of another.
func (k *KMS) localResource(operation, arn string) (string, error) {
	m := arnForm.FindStringSubmatch(arn)
	if m == nil {
		// The operations that use a key do not model InvalidArnException.
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

// findNoAlias is find for the operations that take a key id or a key ARN only.
// They refuse an alias whether it exists or not.
func (k *KMS) findNoAlias(operation, id string) (*key, error) {
	if isAlias(id) {
		return nil, refuse("InvalidArnException", "Key Aliases are not supported for this operation.")
	}
	return k.find(operation, id)
}

func isAlias(id string) bool {
	return strings.HasPrefix(id, "alias/") || strings.Contains(id, ":alias/")
}

// forUse finds a key for a cryptographic operation and refuses it in the order
// that recordings of KMS show: existence, then usage, then state. (The algorithm
// comes after.) The copy that it returns can be used without holding k.mu.
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
