package kmstest

import (
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// defaultPolicy is the key policy of a key that is made without one.
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

// keyPolicy checks the policy of a new key, which is all that is done with it.
func keyPolicy(policy *string) (string, error) {
	if policy != nil && !json.Valid([]byte(*policy)) {
		return "", refuse("MalformedPolicyDocumentException", "The new key policy is not valid JSON.")
	}
	return aws.ToString(policy), nil
}
