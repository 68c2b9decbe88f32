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
	id     string  // the key ID; empty for an alias
	region string  // the Region that answers name to the caller
}

// multiRegionPrefix begins the ID of every multi-Region key, and of no other
// key.
const multiRegionPrefix = "mrk-"

// parse reads the key ID of a request.
func (c *Client) parse(keyID *string) (keyName, error) {
	if c == nil || len(c.regions) == 0 {
		return keyName{}, errors.New("the Client was not made by New")
	}
	k := keyName{asked: aws.ToString(keyID), region: c.regions[0].Name}
	if k.asked == "" {
		return k, errors.New("key ID is empty, want a key ID, key ARN, alias name or alias ARN")
	}
	resource := k.asked
	if arn.IsARN(k.asked) {
		var err error
		if k.arn, err = arn.Parse(k.asked); err != nil {
			return k, err
		}
		k.isARN, k.region, resource = true, k.arn.Region, k.arn.Resource
		if k.arn.Service != "kms" || k.region == "" {
			return k, errors.New("want the ARN of a KMS key or alias")
		}
	} else if !strings.HasPrefix(k.asked, "alias/") {
		resource = "key/" + k.asked
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
		return fmt.Errorf("%w: %q is not a multi-Region key, because its ID does not begin with %s: other Regions do not have it",
			kmssigner.ErrUnsupportedKey, id, multiRegionPrefix)
	}
	return nil
}

// in returns the key ID for a request to r.
func (k keyName) in(r *region) *string {
	if !k.isARN {
		return aws.String(k.asked)
	}
	there := k.arn
	there.Region = r.Name
	return aws.String(there.String())
}

// home checks that the KeyId in an answer of r names the key, and returns the
// one that the caller knows.
func (k keyName) home(r *region, answered *string) (*string, error) {
	name := aws.ToString(answered)
	if !arn.IsARN(name) { // an emulator may answer with the bare key ID
		if k.id != "" && name != k.id {
			return nil, changed(name)
		}
		return answered, nil
	}
	there, err := arn.Parse(name)
	id, isKey := strings.CutPrefix(there.Resource, "key/")
	if err != nil || !isKey || !k.isIn(r, there) || k.id != "" && id != k.id {
		return nil, changed(name)
	}
	if err := checkMultiRegion(id); err != nil { // an alias may name any key
		return nil, err
	}
	there.Region = k.region
	return aws.String(there.String()), nil
}

// isIn reports whether an ARN in an answer of r is in r, and in the account of
// the key if the caller named the account.
func (k keyName) isIn(r *region, there arn.ARN) bool {
	return there.Service == "kms" && there.Region == r.Name &&
		(!k.isARN || there.AccountID == k.arn.AccountID && there.Partition == k.arn.Partition)
}

func changed(name string) error {
	return fmt.Errorf("%w: KMS answered for %q", kmssigner.ErrKeyChanged, name)
}
