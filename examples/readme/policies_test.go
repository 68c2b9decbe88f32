package readme

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// conditionKeys are the condition keys that the policies of the pages use. AWS
// documents them in
// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html and
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html.
var conditionKeys = []string{
	"aws:SourceVpce",
	"aws:TagKeys",
	"kms:GrantOperations",
	"kms:GranteePrincipal",
	"kms:KeySpec",
	"kms:ReplicaRegion",
	"kms:MessageType",
	"kms:RequestAlias",
	"kms:SigningAlgorithm",
}

// texts is a member of a policy that is a string or a list of strings.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

type statement struct {
	Sid       string
	Effect    string
	Principal map[string]texts
	Action    texts
	Resource  texts
	Condition map[string]map[string]texts
}

// statements parses a policy document, or a single statement of one.
func statements(text string) ([]statement, error) {
	strict := func(v any) error {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		return decoder.Decode(v)
	}
	var one statement
	if strict(&one) == nil {
		return []statement{one}, nil
	}
	var policy struct {
		Version   string
		Statement []statement
	}
	err := strict(&policy)
	return policy.Statement, err
}

// TestPolicies checks each JSON block of the pages: it must be a policy whose
// actions are operations of KMS, as the SDK's client has them.
func TestPolicies(t *testing.T) {
	client := reflect.TypeFor[*kms.Client]()
	found := 0
	for name, page := range pages(t) {
		for _, block := range blocks(page, "json") {
			all, err := statements(block)
			if err != nil {
				t.Errorf("%s: %v in\n%s", name, err, block)
				continue
			}
			if len(all) == 0 {
				t.Errorf("%s: no statement in\n%s", name, block)
			}
			for _, s := range all {
				found++
				if s.Effect != "Allow" && s.Effect != "Deny" || len(s.Action) == 0 || len(s.Resource) == 0 {
					t.Errorf("%s: effect %q, actions %q and resources %q in\n%s", name, s.Effect, s.Action, s.Resource, block)
				}
				for _, action := range s.Action {
					operation, isKMS := strings.CutPrefix(action, "kms:")
					if _, exists := client.MethodByName(operation); !isKMS || !exists || operation == "Options" {
						t.Errorf("%s: KMS has no operation for the action %q", name, action)
					}
				}
				for operator, keys := range s.Condition {
					for key := range keys {
						// The rest of the name is the key of a tag.
						ofTag := strings.HasPrefix(key, "aws:ResourceTag/") || strings.HasPrefix(key, "aws:RequestTag/")
						if !slices.Contains(conditionKeys, key) && !ofTag {
							t.Errorf("%s: unknown condition key %q of %s", name, key, operator)
						}
					}
				}
			}
		}
	}
	if found == 0 {
		t.Fatal("no policies in the pages")
	}
}
