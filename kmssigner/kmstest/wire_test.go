package kmstest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// request is a request that a test sends without the SDK.
type request struct {
	method, path, target, body string

	creds           aws.Credentials
	service, region string
	at              time.Time
	unsigned        bool
	header          http.Header         // to sign with the rest
	tamper          func(*http.Request) // after signing
}

// to returns a request that a server of k accepts.
func to(k *KMS, operation, body string) request {
	return request{method: "POST", path: "/", target: "TrentService." + operation, body: body,
		creds: k.opts.Credentials, service: "kms", region: k.opts.Region, at: time.Now()}
}

// send returns the status, the body and the header of the answer.
func (r request) send(t *testing.T, s *Server) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, s.URL+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", r.target)
	for name, values := range r.header {
		req.Header[name] = values
	}
	if !r.unsigned {
		sum := sha256.Sum256([]byte(r.body))
		if err := v4.NewSigner().SignHTTP(context.Background(), r.creds, req, hex.EncodeToString(sum[:]), r.service, r.region, r.at); err != nil {
			t.Fatal(err)
		}
	}
	if r.tamper != nil {
		r.tamper(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// TestWire checks the bytes of answers over HTTP.
func TestWire(t *testing.T) {
	k := New()
	s := NewServer(k)
	defer s.Close()
	id, off, symmetric := k.AddKey(p256), k.AddKey(p256), k.AddKey("SYMMETRIC_DEFAULT")
	(fake{k, k, t}).disable(off)
	arn := k.arn("key/" + id)
	for _, tt := range []struct {
		name, operation, body string
		status                int
		answer                string // compared as JSON, * for any value
	}{
		{"signature", "Sign", `{"KeyId":"` + id + `","Message":"bQ==","SigningAlgorithm":"ECDSA_SHA_256"}`,
			200, `{"KeyId":"` + arn + `","Signature":"*","SigningAlgorithm":"ECDSA_SHA_256"}`},
		{"public key, with both names of the spec", "GetPublicKey", `{"KeyId":"` + id + `"}`,
			200, `{"KeyId":"` + arn + `","PublicKey":"*","KeySpec":"ECC_NIST_P256","CustomerMasterKeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","SigningAlgorithms":["ECDSA_SHA_256"]}`},
		{"no members", "CreateAlias", `{"AliasName":"alias/a","TargetKeyId":"` + id + `"}`, 200, ``},
		{"empty list", "ListAliases", `{"KeyId":"` + off + `"}`, 200, `{"Aliases":[],"Truncated":false}`},
		{"error", "Sign", `{"KeyId":"` + off + `","Message":"bQ==","SigningAlgorithm":"ECDSA_SHA_256"}`,
			400, `{"__type":"DisabledException","message":"` + k.arn("key/"+off) + ` is disabled."}`},
		{"error without text, of a key without public key", "GetPublicKey", `{"KeyId":"` + symmetric + `"}`,
			400, `{"__type":"UnsupportedOperationException"}`},
		{"error of another type with text", "CreateKey", `{"KeySpec":"SM2","KeyUsage":"SIGN_VERIFY"}`,
			400, `{"__type":"UnsupportedOperationException","message":"KeySpec SM2 is not supported in this Region"}`},
		{"error with a capital Message, of another account's key", "DescribeKey", `{"KeyId":"arn:aws:kms:us-east-1:444455556666:key/x"}`,
			400, `{"__type":"AccessDeniedException","Message":"*"}`},
		{"error without text", "Verify", `{"KeyId":"` + id + `","Message":"bQ==","Signature":"bQ==","SigningAlgorithm":"ECDSA_SHA_256"}`,
			400, `{"__type":"KMSInvalidSignatureException"}`},

		{"unknown operation", "Encrypt", `{}`,
			400, `{"__type":"UnknownOperationException","message":"kmstest: operation \"TrentService.Encrypt\" is not supported: this fake signs and makes MACs, and does not encrypt or agree on keys"}`},
		{"operation that KMS does not have", "ListTables", `{}`,
			400, `{"__type":"UnknownOperationException","message":"kmstest: operation \"TrentService.ListTables\" is not supported"}`},
		{"characters of HTML in a text", "DescribeKey", `{"KeyId":"<a&b>"}`,
			400, `{"__type":"NotFoundException","message":"Invalid keyId '<a&b>'"}`},
		{"unknown members are ignored", "ListKeys", `{"Colour":"red","Limit":1}`, 200, `"*"`},
		{"null is absence", "ListKeys", `{"Limit":null}`, 200, `"*"`},
		{"member names are case-sensitive", "DescribeKey", `{"keyid":"` + id + `"}`,
			400, `{"__type":"ValidationException","message":"1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"}`},
		{"member names are case-sensitive at every depth", "TagResource", `{"KeyId":"` + id + `","Tags":[{"tagKey":"a","TagValue":"b"}]}`,
			400, `{"__type":"ValidationException","message":"1 validation error detected: Value null at 'tags.1.member.tagKey' failed to satisfy constraint: Member must not be null"}`},
		{"form before the key", "TagResource", `{"KeyId":"none","Tags":[{"TagKey":"","TagValue":"b"}]}`,
			400, `{"__type":"ValidationException","message":"1 validation error detected: Value '' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1"}`},
		{"list for a structure", "CreateGrant", `{"KeyId":"` + id + `","Constraints":[]}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"null in a list of structures", "TagResource", `{"KeyId":"` + id + `","Tags":[null]}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"text for a time", "ImportKeyMaterial", `{"KeyId":"` + id + `","ValidTo":"today"}`, 400, `{"__type":"*","message":"*"}`},
		{"required members", "Sign", `{}`,
			400, `{"__type":"ValidationException","message":"3 validation errors detected: ` +
				`Value null at 'keyId' failed to satisfy constraint: Member must not be null; ` +
				`Value at 'message' failed to satisfy constraint: Member must not be null; ` +
				`Value null at 'signingAlgorithm' failed to satisfy constraint: Member must not be null"}`},
		{"an empty message is there, but too short", "Sign", `{"KeyId":"` + id + `","Message":"","SigningAlgorithm":"ECDSA_SHA_256"}`,
			400, `{"__type":"ValidationException","message":"1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1"}`},

		{"no JSON", "ListKeys", `Limit=1`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"no body", "ListKeys", ``, 400, `{"__type":"SerializationException","message":"*"}`},
		{"half a body", "ListKeys", `{"Limit":1`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"two bodies", "ListKeys", `{}{}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"no object", "ListKeys", `null`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"array", "ListKeys", `[]`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"deep nesting", "ListKeys", strings.Repeat(`{"a":`, 20000), 400, `{"__type":"SerializationException","message":"*"}`},
		{"number for a string", "GetPublicKey", `{"KeyId":7}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"string for a number", "ListKeys", `{"Limit":"7"}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"number out of range", "ListKeys", `{"Limit":1e99}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"base64url", "Sign", `{"KeyId":"` + id + `","Message":"-_-_","SigningAlgorithm":"ECDSA_SHA_256"}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"base64 without padding", "Sign", `{"KeyId":"` + id + `","Message":"bQ","SigningAlgorithm":"ECDSA_SHA_256"}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"numbers for a blob", "Sign", `{"KeyId":"` + id + `","Message":[1,2],"SigningAlgorithm":"ECDSA_SHA_256"}`, 400, `{"__type":"SerializationException","message":"*"}`},
		{"over a megabyte", "ListKeys", `{"a":"` + strings.Repeat("x", maxBody) + `"}`, 400, `{"__type":"SerializationException","message":"*"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body, header := to(k, tt.operation, tt.body).send(t, s)
			if status != tt.status || !sameJSON(t, body, tt.answer) {
				t.Errorf("%d %s\nwant %d %s", status, body, tt.status, tt.answer)
			}
			if strings.Contains(body, `\u0`) {
				t.Errorf("escaped as for HTML: %s", body)
			}
			if ct := header.Get("Content-Type"); ct != "application/x-amz-json-1.1" {
				t.Errorf("Content-Type %q", ct)
			}
			if id := header.Get("x-amzn-RequestId"); !keyIDForm.MatchString(id) {
				t.Errorf("x-amzn-RequestId %q", id)
			}
			date, err := http.ParseTime(header.Get("Date"))
			if since := time.Since(date); err != nil || since < -time.Minute || since > time.Minute {
				t.Errorf("Date %q", header.Get("Date"))
			}
		})
	}

	for name, change := range map[string]func(*request){
		"GET":                 func(r *request) { r.method = "GET" },
		"a path":              func(r *request) { r.path = "/kms" },
		"no target":           func(r *request) { r.target = "" },
		"another service":     func(r *request) { r.target = "DynamoDB_20120810.ListTables" },
		"no service":          func(r *request) { r.target = "ListKeys" },
		"case of the target":  func(r *request) { r.target = "TrentService.listKeys" },
		"JSON 1.0":            func(r *request) { r.header = http.Header{"Content-Type": {"application/x-amz-json-1.0"}} },
		"no content type":     func(r *request) { r.header = http.Header{"Content-Type": {}} },
		"broken content type": func(r *request) { r.header = http.Header{"Content-Type": {";"}} },
	} {
		t.Run(name, func(t *testing.T) {
			r := to(k, "ListKeys", "{}")
			change(&r)
			status, body, _ := r.send(t, s)
			if status != 400 || !sameJSON(t, body, `{"__type":"UnknownOperationException","message":"*"}`) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// sameJSON reports whether two texts are the same JSON. The string * in want
// matches any value.
func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	if want == "" || got == "" {
		return got == want
	}
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Errorf("%v in %s", err, got)
		return false
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	return sameValue(g, w)
}

func sameValue(got, want any) bool {
	switch want := want.(type) {
	case string:
		return want == "*" || got == want
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for i := range want {
			if !sameValue(g[i], want[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for name := range want {
			v, ok := g[name]
			if !ok || !sameValue(v, want[name]) {
				return false
			}
		}
		return true
	}
	return got == want
}

// FuzzServe checks that each request has an answer.
func FuzzServe(f *testing.F) {
	k := New()
	id := k.AddKey(p256)
	for _, body := range []string{
		``, `{}`, `null`, `{"KeyId":"` + id + `","Message":"bQ==","SigningAlgorithm":"ECDSA_SHA_256","GrantTokens":[""]}`,
		`{"KeyId":"arn:aws:kms:us-east-1:111122223333:alias/","TargetKeyId":"` + id + `","AliasName":"alias/aws/"}`,
		`{"Limit":-1,"Marker":"YWZ0ZXIg","Tags":[{"TagKey":null}],"PendingWindowInDays":7}`,
	} {
		f.Add("TrentService.Sign", []byte(body))
	}
	f.Fuzz(func(t *testing.T, target string, body []byte) {
		if !strings.HasPrefix(target, targetPrefix) {
			for name := range operations {
				k.handle(t.Context(), targetPrefix+name, body, nil)
			}
		}
		if a, err := k.handle(t.Context(), target, body, nil); err != nil || a.status != 200 && a.status != 400 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}
