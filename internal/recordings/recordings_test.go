package recordings

import (
	"context"
	"strings"
	"testing"
)

// TestAll checks that every recording has a head and calls.
func TestAll(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 70 {
		t.Errorf("%d recordings", len(all))
	}
	for _, r := range all {
		if len(r.Day) != len("2025-01-21") || !strings.Contains(r.Source, "/") || r.Test == "" || len(r.lines) < 2 {
			t.Errorf("%+v", r)
		}
	}
}

// TestReplay checks that each kind of difference is found, and nothing else.
func TestReplay(t *testing.T) {
	const describe = "call DescribeKey {\"KeyId\":\"a\"}"
	body := func(s string) Answer { return Answer{200, []byte(s)} }
	no := func(s string) Answer { return Answer{400, []byte(s)} }
	for _, tt := range []struct {
		want, length string
		got          Answer
		problem      string // a part of it, or empty
	}{
		{`ok {"A":"<any>","B":[1,true]}`, "", body(`{"B":[1,true],"A":"x"}`), ""},
		{`ok {"A":"<time>"}`, "", body(`{"A":1.5E9}`), ""},
		{`ok {"A":"<time>"}`, "", body(`{"A":1500000000}`), ".A is 1500000000"},
		{`ok {"A":1.5E9}`, "11", body(`{"A":1.75E9}`), ""},
		{`ok {"A":1.5E9}`, "12", body(`{"A":1.75E9}`), "11 bytes, want 12"},
		{`ok {"A":2}`, "", body(`{"A":3}`), ".A is 3, want 2"},
		{`ok {"A":"<blob>"}`, "", body(`{"A":"YQ=="}`), ""},
		{`ok {"A":"<blob>"}`, "", body(`{"A":"!"}`), ".A is !"},
		{`ok {"A":"<blob 8>"}`, "", body(`{"A":"YQ=="}`), ".A is YQ=="},
		{`ok {"A":"x"}`, "", body(`{}`), "no .A"},
		{`ok {}`, "", body(`{"A":"x"}`), ".A, which is not recorded"},
		{`ok {}`, "", body(`{"CurrentKeyMaterialId":"x"}`), ""}, // newer than the recording
		{`ok {}`, "", body(`{"MultiRegion":true}`), ".MultiRegion, which is not recorded"},
		{`ok {"A":[1]}`, "", body(`{"A":[1,2]}`), ".A is [1 2]"},
		{`ok {"A":[1]}`, "", body(`{"A":1}`), ".A is 1"},
		{`ok {"A":{"B":1}}`, "", body(`{"A":1}`), ".A is 1"},
		{`ok`, "", body(``), ""},
		{`ok`, "", body(`{}`), "want no body"},
		{`ok {}`, "", body(``), "EOF"},
		{`ok`, "", no(`{"__type":"X"}`), "want 200"},
		{`no X some text`, "", no(`{"__type":"X","message":"some text"}`), ""},
		{`no X <any>`, "", no(`{"__type":"X","message":"a text"}`), ""},
		{`no X`, "", no(`{"__type":"X"}`), ""},
		{`no X some text`, "", no(`{"__type":"X","Message":"some text"}`), "want 400 X"},
		{`no X`, "", no(`{"__type":"X","message":""}`), "want 400 X"},
		{`no X`, "", no(`{"__type":"Y"}`), "want 400 X"},
		{`no X`, "", Answer{404, []byte(`{"__type":"X"}`)}, "got 404"},
		{`no X`, "", body(`{"A":1}`), "want X"},
	} {
		r := Recording{Day: "2024-01-01", lines: []string{describe, tt.want}}
		if tt.length != "" {
			r.lines = append(r.lines, "length "+tt.length)
		}
		rows, err := r.Replay(t.Context(), Target{Account, Region, func(context.Context, string, string, []byte) (Answer, error) { return tt.got, nil }})
		if err != nil || len(rows) != 1 {
			t.Errorf("%s: %d rows, %v", tt.want, len(rows), err)
			continue
		}
		if p := rows[0].Problem; (p == "") != (tt.problem == "") || !strings.Contains(p, tt.problem) {
			t.Errorf("%s, got %s: %q, want %q", tt.want, tt.got.Body, p, tt.problem)
		}
	}
}

// TestTarget checks that calls name the account and the Region of the target.
func TestTarget(t *testing.T) {
	r := Recording{lines: []string{
		`call DescribeKey {"KeyId":"arn:aws:kms:us-east-1:111111111111:key/x"}`, `no X`,
		`call DescribeKey@ap-southeast-1 {}`, `no X`,
	}}
	var calls []string
	_, err := r.Replay(t.Context(), Target{"444455556666", "eu-west-1", func(_ context.Context, region, operation string, body []byte) (Answer, error) {
		calls = append(calls, region+" "+operation+" "+string(body))
		return Answer{400, []byte(`{"__type":"X"}`)}, nil
	}})
	want := `eu-west-1 DescribeKey {"KeyId":"arn:aws:kms:eu-west-1:444455556666:key/x"}; ap-southeast-1 DescribeKey {}`
	if got := strings.Join(calls, "; "); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

// TestRewrite checks that a rewritten recording is one that agrees.
func TestRewrite(t *testing.T) {
	const id = "01234567-89ab-cdef-0123-456789abcdef"
	target := Target{"444455556666", "eu-west-1", func(_ context.Context, _, operation string, _ []byte) (Answer, error) {
		switch operation {
		case "CreateKey":
			return Answer{200, []byte(`{"KeyMetadata":{"KeyId":"` + id + `"}}`)}, nil
		case "Sign":
			return Answer{200, []byte(`{"KeyId":"arn:aws:kms:eu-west-1:444455556666:key/` + id + `","Signature":"YQ==","At":1.7E9}`)}, nil
		case "EnableKey":
			return Answer{200, nil}, nil
		}
		return Answer{400, []byte(`{"__type":"X","message":"arn:aws:kms:eu-west-1:444455556666:key/` + id + ` is disabled."}`)}, nil
	}}
	r := Recording{
		File: "f", Test: "test", Day: "2024-01-01",
		vars: map[string]string{"arn": "arn:aws:kms:us-east-1:111111111111:key/$key", "spec": "RSA_2048"},
		lines: []string{
			`set key CreateKey {"KeySpec":"$spec"} KeyMetadata.KeyId`,
			`call Sign {"KeyId":"$key"}`, `ok {}`,
			`call EnableKey {"KeyId":"$key"}`, `no X`,
			`call DisableKey {"KeyId":"$key"}`, `no X text`,
		},
	}
	rows, err := r.Replay(t.Context(), target)
	if err != nil || len(rows) != 3 || rows[0].Problem == "" || rows[1].Problem == "" || rows[2].Problem == "" {
		t.Fatalf("%+v, %v", rows, err)
	}
	got := r.Rewrite("me/mine", "2026-11-25", rows)
	want := `recording me/mine livecheck 2026-11-25 test
define spec RSA_2048
set key CreateKey {"KeySpec":"$spec"} KeyMetadata.KeyId
call Sign {"KeyId":"$key"}
ok {"At":"<time>","KeyId":"$arn","Signature":"<blob>"}
call EnableKey {"KeyId":"$key"}
ok
call DisableKey {"KeyId":"$key"}
no X $arn is disabled.
`
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	again, err := parse(strings.Split(strings.TrimSpace(strings.Replace(got, "define spec RSA_2048", "with spec=RSA_2048", 1)), "\n"), map[string]string{"arn": r.vars["arn"]})
	if err != nil || len(again) != 1 {
		t.Fatal(again, err)
	}
	rows, err = again[0].Replay(t.Context(), target)
	for _, row := range rows {
		if err != nil || row.Problem != "" {
			t.Errorf("%v, %+v", err, row)
		}
	}
}

// TestReplayStops checks that a recording ends at a call without an answer.
func TestReplayStops(t *testing.T) {
	r := Recording{lines: []string{"call DescribeKey {}", "no X", "call DescribeKey {}", "no X"}}
	n := 0
	rows, err := r.Replay(t.Context(), Target{Account, Region, func(context.Context, string, string, []byte) (Answer, error) {
		if n++; n > 1 {
			return Answer{}, context.Canceled
		}
		return Answer{400, []byte(`{"__type":"X"}`)}, nil
	}})
	if len(rows) != 1 || err == nil {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	for _, line := range []string{"call DescribeKey {\"KeyId\":\"$none\"}", "nonsense", "aliases x", "keep a B"} {
		r := Recording{lines: []string{line}}
		if _, err := r.Replay(t.Context(), Target{Account, Region, nil}); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}
