package kmstest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestMatrixElsewhere counts the rows of matrix that another emulator answers
// in the same way: of calls that KMS accepts, of those that it refuses, and of
// all. It does not judge signatures. It needs the URL of one, whose state it
// changes, and asserts nothing:
//
//	KMSTEST_ENDPOINT=http://127.0.0.1:5000 go test -run TestMatrixElsewhere -v ./kmssigner/kmstest
func TestMatrixElsewhere(t *testing.T) {
	endpoint := os.Getenv("KMSTEST_ENDPOINT")
	if endpoint == "" {
		s := NewServer(New())
		defer s.Close()
		endpoint = s.URL // to keep the test in order
	}
	e := &emulator{t: t, url: endpoint, made: map[string]string{}, creds: New().opts.Credentials}
	e.client = kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		Retryer:      aws.NopRetryer{},
		Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return e.creds, nil }),
	})
	rows, codes, texts := map[string]int{}, map[string]int{}, map[string]int{}
	for _, line := range strings.Split(matrix, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.SplitN(line, " ", 8)
		for _, row := range product(fields[:7]) {
			code, text := e.agrees(row, fields[7])
			kind := "refused"
			if fields[7] == "ok" {
				kind = "accepted"
			}
			for _, group := range []string{"all", kind} {
				rows[group]++
				if code {
					codes[group]++
				}
				if text {
					texts[group]++
				}
			}
		}
	}
	for _, group := range []string{"accepted", "refused", "all"} {
		t.Logf("%-8s %4d rows, the same code in %4d (%d %%), and the same text in %4d (%d %%)", group, rows[group],
			codes[group], 100*codes[group]/rows[group], texts[group], 100*texts[group]/rows[group])
	}
	if os.Getenv("KMSTEST_ENDPOINT") == "" && texts["all"] != rows["all"] {
		t.Errorf("the fake disagrees with its own matrix in %d rows", rows["all"]-texts["all"])
	}
}

// emulator is an emulator of KMS at a URL.
type emulator struct {
	t      *testing.T
	url    string
	client *kms.Client
	creds  aws.Credentials
	made   map[string]string // key IDs by spec, usage and state; empty if the emulator has no such key
}

// key returns the ID of a key, or an empty string if there can be none.
func (e *emulator) key(name, state string) string {
	switch name {
	case "none":
		return noKey
	case "alias/none":
		return name
	}
	id, ok := e.made[name+state]
	if ok {
		return id
	}
	spec, usage, given := strings.Cut(name, "/")
	in := &kms.CreateKeyInput{KeySpec: types.KeySpec(spec), KeyUsage: types.KeyUsageType(usage)}
	if !given {
		in.KeyUsage = specs[in.KeySpec].usages[0]
	}
	if state == "PendingImport" {
		in.Origin = types.OriginTypeExternal
	}
	ctx := e.t.Context()
	out, err := e.client.CreateKey(ctx, in)
	if err == nil {
		id = *out.KeyMetadata.KeyId
		switch state {
		case "Disabled":
			_, err = e.client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id})
		case "PendingDeletion":
			_, err = e.client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &id})
		}
	}
	if err != nil {
		e.t.Logf("no key %s %s: %.200v", name, state, err)
		id = ""
	}
	e.made[name+state] = id
	return id
}

// post sends a signed request and returns the status and the body.
func (e *emulator) post(op string, body map[string]any) (int, map[string]any) {
	wire, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	r := request{method: http.MethodPost, path: "/", target: "TrentService." + op, body: string(wire),
		creds: e.creds, service: "kms", region: "us-east-1", at: now()}
	status, got, _ := r.send(e.t, &Server{URL: e.url})
	var members map[string]any
	json.Unmarshal([]byte(got), &members)
	return status, members
}

// agrees reports whether the emulator answers a row with the same code, and
// with the same text or members as well.
func (e *emulator) agrees(row []string, answer string) (code, text bool) {
	key, state, op, alg, mt, length, dry := row[0], row[1], row[2], row[3], row[4], row[5], row[6]
	op, corrupt := strings.CutSuffix(op, "!")
	id := e.key(key, state)
	if id == "" {
		return false, false
	}
	body := map[string]any{"KeyId": id}
	if n, err := strconv.Atoi(length); err == nil {
		body["Message"] = bytes.Repeat([]byte{7}, n)
	}
	set := func(name, value string) {
		if value != "-" {
			body[name] = strings.Trim(value, `"`)
		}
	}
	set("MessageType", mt)
	maker, result := "Sign", "Signature"
	switch op {
	case "Sign", "Verify":
		set("SigningAlgorithm", alg)
	case "GenerateMac", "VerifyMac":
		set("MacAlgorithm", alg)
		maker, result = "GenerateMac", "Mac"
	}
	if op == "Verify" || op == "VerifyMac" {
		_, made := e.post(maker, body)
		sig := make([]byte, 64)
		if encoded, ok := made[result].(string); ok {
			json.Unmarshal([]byte(`"`+encoded+`"`), &sig)
		}
		if corrupt {
			sig[len(sig)-1] ^= 1
		}
		body[result] = sig
	}
	if dry != "-" {
		body["DryRun"] = dry == "true"
	}
	status, members := e.post(op, body)
	if answer == "ok" {
		ok := status == 200 && members["SignatureValid"] != false && members["MacValid"] != false
		want := answered[op]
		for _, name := range want {
			_, has := members[name]
			text = ok && has
			if !text {
				return ok, false
			}
		}
		return ok, ok
	}
	wantCode, wantText, _ := strings.Cut(answer, " ")
	got, _ := members["__type"].(string)
	code = status == 400 && got == wantCode
	said, _ := members["message"].(string)
	// The ARN differs, and what stands for the rest of the row.
	before, after, _ := strings.Cut(strings.NewReplacer("{op}", op, "{alg}", alg, "{type}", mt).Replace(wantText), "{")
	_, after, _ = strings.Cut(after, "}")
	if i := strings.LastIndex(after, "}"); i >= 0 {
		after = after[i+1:]
	}
	return code, code && strings.HasPrefix(said, before) && strings.HasSuffix(said, after) && (wantText != "") == (said != "")
}
