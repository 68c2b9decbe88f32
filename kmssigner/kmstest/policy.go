package kmstest

import (
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
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

// keyPolicy checks the policy of a new key, which may be nil. The fake does not
// use policies.
func keyPolicy(policy *string) (string, error) {
	if policy != nil && !json.Valid([]byte(*policy)) {
		return "", refuse("MalformedPolicyDocumentException", "The new key policy is not valid JSON.")
	}
	return aws.ToString(policy), nil
}
