//go:build othersdks

package kmstest

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// The tests in this file need programs that Go does not bring: Node.js with
// @aws-sdk/client-kms below $NODE_MODULES, the AWS CLI, openssl, and $PYTHON
// with boto3. The script .ci/othersdks installs them and runs the tests.

// TestPrograms drives a server with the SDKs for JavaScript and Python and with
// the AWS CLI.
func TestPrograms(t *testing.T) {
	for name, command := range map[string][]string{
		"JavaScript": {"node", "testdata/javascript.mjs"},
		"boto3":      {os.Getenv("PYTHON"), "testdata/python.py"},
		"AWS CLI":    {"bash", "testdata/awscli.sh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := New()
			s := NewServer(k)
			defer s.Close()
			c := exec.CommandContext(t.Context(), command[0], command[1:]...)
			c.Env = append(os.Environ(),
				"ENDPOINT="+s.URL,
				"AWS_ACCESS_KEY_ID="+k.opts.Credentials.AccessKeyID,
				"AWS_SECRET_ACCESS_KEY="+k.opts.Credentials.SecretAccessKey,
				"AWS_SESSION_TOKEN=",
				"AWS_CONFIG_FILE="+os.DevNull,
				"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
				"AWS_EC2_METADATA_DISABLED=true",
			)
			out, err := c.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			allKnown(t, k)
			if n := len(k.Requests()); n < 20 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestServiceModel compares the table of constraints with the service model
// that botocore has. Members and patterns that are newer than it are not
// compared.
func TestServiceModel(t *testing.T) {
	out, err := exec.Command(os.Getenv("PYTHON"), "-c", `import botocore.session, json
print(json.dumps(botocore.session.get_session().get_service_model("kms")._service_description))`).Output()
	if err != nil {
		t.Fatal(err)
	}
	var model struct {
		Operations map[string]struct{ Input struct{ Shape string } }
		Shapes     map[string]struct {
			Members  map[string]struct{ Shape string }
			Required []string
			Min, Max *int
			Pattern  string
		}
	}
	if err := json.Unmarshal(out, &model); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for name, op := range operations {
		shape, ok := model.Shapes[model.Operations[name].Input.Shape]
		if !ok {
			t.Errorf("the model has no operation %s", name)
			continue
		}
		for member, ref := range shape.Members {
			want := model.Shapes[ref.Shape]
			got, ok := constraints[member]
			if want.Max == nil {
				continue
			}
			compared++
			if !ok || got.max != *want.Max || got.min != *want.Min {
				t.Errorf("%s: %s is %d to %d, the model has %d to %d", name, member, got.min, got.max, *want.Min, *want.Max)
			}
			if want.Pattern != "" && (got.pattern == nil || got.pattern.text != want.Pattern) {
				t.Errorf("%s: %s is like %v, the model has %s", name, member, got.pattern, want.Pattern)
			}
		}
		for _, member := range shape.Required {
			// Newer models do not require these.
			optional := []string{"PolicyName", "GranteePrincipal", "RetiringPrincipal"}
			if !slices.Contains(op.required, member) && !slices.Contains(optional, member) {
				t.Errorf("%s requires %s", name, member)
			}
		}
	}
	t.Logf("%d members compared", compared)
	if compared < 80 {
		t.Errorf("only %d members", compared)
	}
}
