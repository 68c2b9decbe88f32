package multiregion

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/kmssign/kmssign/kmssigner"
)

// A keyName is the key that a caller asks for.
type keyName struct {
	asked  string
	isARN  bool
	arn    arn.ARN // of a key or an alias, if isARN
	id     string  // the key ID, or empty for an alias
	region string  // what callers are told that the key is in
}

// multiRegionPrefix begins the ID of every multi-Region key, and of no other.
const multiRegionPrefix = "mrk-"

func (c *Client) parse(operation string, keyID *string) (keyName, error) {
	k, err := parseKey(aws.ToString(keyID), c.regions[0].Name)
	if err != nil {
		return keyName{}, fmt.Errorf("multiregion: %s with %q: %w", operation, aws.ToString(keyID), err)
	}
	return k, nil
}

func parseKey(asked, firstRegion string) (keyName, error) {
	k := keyName{asked: asked, region: firstRegion}
	if asked == "" {
		return k, errors.New("key ID is empty, want a key ID, key ARN, alias name or alias ARN")
	}
	resource := asked
	if arn.IsARN(asked) {
		var err error
		if k.arn, err = arn.Parse(asked); err != nil {
			return k, err
		}
		k.isARN, k.region, resource = true, k.arn.Region, k.arn.Resource
		if k.arn.Service != "kms" || k.region == "" {
			return k, errors.New("want the ARN of a KMS key or alias")
		}
	} else if !strings.HasPrefix(asked, "alias/") {
		resource = "key/" + asked
	}
	if strings.HasPrefix(resource, "alias/") {
		return k, nil
	}
	id, ok := strings.CutPrefix(resource, "key/")
	if !ok {
		return k, errors.New("want the ARN of a KMS key or alias")
	}
	k.id = id
	return k, checkMultiRegion(id)
}

func checkMultiRegion(id string) error {
	if !strings.HasPrefix(id, multiRegionPrefix) {
		return fmt.Errorf("%w: %q is no multi-Region key, whose ID would begin with %s: no other Region has it",
			kmssigner.ErrUnsupportedKey, id, multiRegionPrefix)
	}
	return nil
}

// in is how r is asked for the key.
func (k keyName) in(r *region) *string {
	if !k.isARN {
		return aws.String(k.asked)
	}
	there := k.arn
	there.Region = r.Name
	return aws.String(there.String())
}

// home checks that the KeyId of an answer of r names the key, and returns it as the
// caller knows the key. An answer without one is left to the caller to refuse.
func (k keyName) home(r *region, answered *string) (*string, error) {
	name := aws.ToString(answered)
	if name == "" {
		return answered, nil
	}
	if !arn.IsARN(name) { // of an emulator: the bare key ID
		if k.id != "" && name != k.id {
			return nil, changed(name)
		}
		return answered, nil
	}
	there, err := arn.Parse(name)
	id, isKey := strings.CutPrefix(there.Resource, "key/")
	if err != nil || !isKey || there.Service != "kms" || there.Region != r.Name || k.id != "" && id != k.id ||
		k.isARN && (there.AccountID != k.arn.AccountID || there.Partition != k.arn.Partition) {
		return nil, changed(name)
	}
	if err := checkMultiRegion(id); err != nil { // what an alias named
		return nil, err
	}
	there.Region = k.region
	return aws.String(there.String()), nil
}

func changed(name string) error {
	return fmt.Errorf("%w: KMS answered for %q", kmssigner.ErrKeyChanged, name)
}
