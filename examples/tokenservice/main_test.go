package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// serveKMS makes the ordinary AWS environment one that reaches a fake KMS in
// which alias/tokens names a key.
func serveKMS(t *testing.T) *kmstest.KMS {
	t.Helper()
	fake := awsenv.Serve(t)
	_, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/tokens"), TargetKeyId: aws.String(fake.AddKey(types.KeySpecEccNistP384))})
	if err != nil {
		t.Fatal(err)
	}
	return fake
}

// start runs the program on a free port until stop.
func start(t *testing.T, args ...string) (url string, first map[string]any, stop func() (status int, stdout, stderr string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() {
		status := cli.Run(ctx, "tokenservice", run, append([]string{"-listen", "127.0.0.1:0"}, args...), cli.Stdio{Out: writer, Err: &errs})
		writer.Close()
		done <- status
	}()
	lines := bufio.NewReader(reader)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		t.Fatalf("%v; status %d, standard error: %s", err, <-done, &errs)
	}
	if err := json.Unmarshal(line, &first); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	rest := make(chan string, 1)
	go func() {
		data, _ := io.ReadAll(lines)
		rest <- string(data)
	}()
	return "http://" + first["address"].(string), first, func() (int, string, string) {
		cancel()
		return <-done, <-rest, errs.String()
	}
}

func fetch(t *testing.T, response *http.Response, err error) (status int, body string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func postToken(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	response, err := http.Post(url+"/token", "application/json", strings.NewReader(body))
	return fetch(t, response, err)
}

// reached waits until KMS has seen so many calls.
func reached(fake *kmstest.KMS, operation string, calls int) {
	for fake.Calls(operation) < calls {
		runtime.Gosched()
	}
}

func TestDefault(t *testing.T) {
	awsenv.Isolate(t)
	url, first, stop := start(t, "-claims", "scope, tenant", "-lifetime", "1m")
	if first["msg"] != "serving" || first["fake"] != true || first["issuer"] != url {
		t.Errorf("the first line of the log is %v", first)
	}
	if status, body := postToken(t, url, `{"sub":"alice","tenant":7}`); status != 200 || !strings.Contains(body, `"expires_in":60`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := postToken(t, url, `{"sub":"alice","aud":"a"}`); status != 400 || !strings.Contains(body, `the claim \"aud\" is not allowed`) {
		t.Errorf("%d %s", status, body)
	}
	for _, path := range []string{"/healthz", "/.well-known/jwks.json", "/metrics"} {
		response, err := http.Get(url + path)
		if status, body := fetch(t, response, err); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	status, stdout, stderr := stop()
	if status != 0 || stderr != fmt.Sprintf(hint, url) || !strings.Contains(stdout, `"route":"POST /token"`) || strings.Contains(stdout, "/healthz") || !strings.HasSuffix(stdout, `"msg":"ended"}`+"\n") {
		t.Errorf("status %d, standard error %q, standard output:\n%s", status, stderr, stdout)
	}
}

func TestAlias(t *testing.T) {
	fake := serveKMS(t)
	issuer := "https://issuer.example/tenant/"
	for _, alias := range []string{"alias/tokens", "arn:aws:kms:us-east-1:111122223333:alias/tokens"} {
		if strings.HasPrefix(alias, "arn:") {
			os.Unsetenv("AWS_REGION")
		}
		url, first, stop := start(t, "-alias", alias, "-issuer", issuer, "-v")
		if first["fake"] != false || first["alias"] != alias {
			t.Errorf("the first line of the log is %v", first)
		}
		if status, body := postToken(t, url, `{"sub":"alice"}`); status != 200 {
			t.Errorf("%d %s", status, body)
		}
		response, err := http.Get(url + "/.well-known/openid-configuration")
		if _, body := fetch(t, response, err); !strings.Contains(body, `"issuer":"`+issuer+`","jwks_uri":"https://issuer.example/tenant/.well-known/jwks.json"`) || !strings.Contains(body, "ES384") {
			t.Errorf("the configuration is %s", body)
		}
		response, err = http.Get(url + "/healthz")
		if status, body := fetch(t, response, err); status != 200 {
			t.Errorf("%d %s", status, body)
		}

		remove := fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Throttle())
		response, err = http.Post(url+"/token", "application/json", strings.NewReader(`{"sub":"alice"}`))
		if status, body := fetch(t, response, err); status != 503 || response.Header.Get("Retry-After") != "1" {
			t.Errorf("throttled: %d %s %v", status, body, response.Header)
		}
		remove()
		if status, stdout, stderr := stop(); status != 0 || stderr != "" || !strings.Contains(stdout, "/healthz") {
			t.Errorf("status %d, standard error %q, standard output:\n%s", status, stderr, stdout)
		}
	}
}

// TestTelemetry follows one request through its trace: the request, the
// signing, and the KMS call with its request ID.
func TestTelemetry(t *testing.T) {
	awsenv.Isolate(t)
	url, _, stop := start(t, "-otel")
	r, err := http.NewRequest("POST", url+"/token", strings.NewReader(`{"sub":"alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	response, err := http.DefaultClient.Do(r)
	if status, body := fetch(t, response, err); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	status, stdout, _ := stop()
	if status != 0 {
		t.Errorf("status %d", status)
	}

	type span struct {
		Name                string
		SpanContext, Parent struct{ TraceID, SpanID string }
		Attributes          []struct {
			Key   string
			Value struct{ Value any }
		}
	}
	spans := map[string]span{} // of the request's trace, by ID
	ids := map[string]string{} // by name
	for line := range strings.Lines(stdout) {
		var s span
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if s.SpanContext.TraceID == "4bf92f3577b34da6a3ce929d0e0e4736" {
			spans[s.SpanContext.SpanID] = s
			ids[s.Name] = s.SpanContext.SpanID
		}
	}
	var path []string
	requestID := ""
	for id := ids["KMS.Sign"]; id != ""; id = spans[id].Parent.SpanID {
		path = append(path, spans[id].Name)
	}
	for id := ids["OperationDeserializer"]; id != ""; id = spans[id].Parent.SpanID {
		for _, a := range spans[id].Attributes {
			if a.Key == "aws.request_id" {
				requestID = a.Value.Value.(string)
			}
		}
	}
	if got := strings.Join(path, " < "); got != "KMS.Sign < sign token < POST /token < " {
		t.Errorf("the spans are %q", got)
	}
	if requestID == "" {
		t.Errorf("no span has the request ID:\n%s", stdout)
	}
	if !strings.Contains(stdout, `"Name":"http.server.request.duration"`) {
		t.Errorf("no metric of the requests:\n%s", stdout)
	}
	if strings.Contains(stdout, "eyJ") || strings.Contains(stdout, "alice") {
		t.Errorf("a token or its claims were written:\n%s", stdout)
	}
}

func TestAllowAnyone(t *testing.T) {
	set, err := parse([]string{"-listen", ":8080", "-allow-anyone", "-issuer", "https://issuer.example"}, cli.Stdio{Err: io.Discard})
	if err != nil || set.address.Port != 8080 {
		t.Errorf("%+v, %v", set, err)
	}
}

// A request that will not end does not keep the program, but its status says
// so.
func TestShutdownTimeout(t *testing.T) {
	fake := serveKMS(t)
	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Hang())
	url, _, stop := start(t, "-alias", "alias/tokens", "-shutdown-timeout", "20ms")
	answered := make(chan error, 1)
	go func() {
		response, err := http.Post(url+"/token", "application/json", strings.NewReader(`{"sub":"alice"}`))
		if err == nil {
			response.Body.Close()
		}
		answered <- err
	}()
	reached(fake, "Sign", 1)
	status, _, stderr := stop()
	if status != 1 || stderr != "tokenservice: service: requests under way did not end within 20ms: context deadline exceeded\n" {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	if err := <-answered; err == nil {
		t.Error("the request was answered")
	}
}

func TestFailures(t *testing.T) {
	fake := serveKMS(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := []string{"-listen", "127.0.0.1:0"}
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-listen", taken.Addr().String()}, 1, "address already in use"},
		{append(free, "-alias", "alias/none"), 1, "NotFoundException"},
		{[]string{"-listen", "nonsense"}, 2, "-listen: address nonsense: missing port in address"},
		{[]string{"-listen", ":8080"}, 2, "want a loopback address, because POST /token does not authenticate callers; -allow-anyone allows others"},
		{[]string{"-listen", "0.0.0.0:8080"}, 2, "want a loopback address"},
		{[]string{"-listen", "[::]:8080"}, 2, "want a loopback address"},
		{[]string{"-listen", "192.0.2.1:8080"}, 2, "want a loopback address"},
		{[]string{"-listen", ":8080", "-allow-anyone"}, 2, "-allow-anyone is given without -issuer, want the URL"},
		{[]string{"-allow-anyone"}, 2, "-allow-anyone is given, but -listen is 127.0.0.1:8080, a loopback address"},
		{[]string{"-allow-anyone", "-listen", "[::1]:0", "-issuer", "https://issuer.example"}, 2, "-listen is [::1]:0, a loopback address"},
		{[]string{"-nonsense"}, 2, "flag provided but not defined"},
		{[]string{"extra"}, 2, `unexpected argument "extra"`},
		{[]string{"-alias", "1234abcd-12ab-34cd-56ef-1234567890ab"}, 2, "want an alias, such as alias/jwt"},
		{[]string{"-lifetime", "0"}, 2, "-lifetime is 0s, want more than 0"},
		{[]string{"-lifetime", "2h"}, 2, "-lifetime is 2h0m0s, want at most -max-lifetime, 1h0m0s"},
		{[]string{"-lifetime", "1500ms"}, 2, "-lifetime is 1.5s, want whole seconds"},
		{[]string{"-hosts", "https://issuer.example/"}, 2, "want the name of a host, not a URL"},
		{[]string{"-propagation-delay", "10m"}, 2, "-propagation-delay is 10m0s, want at least -refresh-interval, -max-age and -slack together, 11m0s"},
		{[]string{"-propagation-delay", "-1s"}, 2, "-propagation-delay is -1s, want 0 or more"},
		{[]string{"-max-in-flight", "0"}, 2, "-max-in-flight is 0, want more than 0"},
		{append(free, "-claims", "aud,exp"), 2, `-claims has "exp", which the service sets`},
		{append(free, "-claims", "iss"), 2, `-claims has "iss", which the service sets`},
		{append(free, "-issuer", "issuer.example"), 2, `the issuer is "issuer.example", want a URL`},
		{[]string{"-typ", ""}, 2, "-typ is empty, want JWT or at+jwt"},
		{[]string{"-typ", "jwt"}, 2, `"jwt", want JWT or at+jwt`},
		{[]string{"-typ", "at+jwt", "-claims", "scope"}, 2, "need aud"},
		{[]string{"-max-idle", "0"}, 2, "-max-idle is 0, want more than 0"},
		{[]string{"-next", "alias/next"}, 2, "-next and -previous are for -alias"},
	} {
		var out, errs bytes.Buffer
		if status := cli.Run(t.Context(), "tokenservice", run, tt.args, cli.Stdio{Out: &out, Err: &errs}); status != tt.status || out.Len() != 0 || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%q: status %d, standard output %q, standard error %q; want %d and %q", tt.args, status, &out, &errs, tt.status, tt.want)
		}
		if tt.status == 1 && strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%q: want one line on standard error, got:\n%s", tt.args, &errs)
		}
	}

	var help, none bytes.Buffer
	if status := cli.Run(t.Context(), "tokenservice", run, []string{"-h"}, cli.Stdio{Out: &help, Err: &none}); status != 0 || none.Len() != 0 || !strings.HasPrefix(help.String(), "Tokenservice issues JWTs") || !strings.Contains(help.String(), "Usage of tokenservice:") {
		t.Errorf("-h: status %d, standard error %q, standard output:\n%s", status, &none, &help)
	}

	// Told to end while it waits for KMS.
	fake.Inject(kmstest.Match{Operation: "GetPublicKey"}, kmstest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	before := fake.Calls("GetPublicKey")
	go func() {
		done <- cli.Run(ctx, "tokenservice", run, append(free, "-alias", "alias/tokens"), cli.Stdio{Out: io.Discard, Err: io.Discard})
	}()
	reached(fake, "GetPublicKey", before+1)
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
	os.Unsetenv("AWS_REGION")
	var errs bytes.Buffer
	if status := cli.Run(t.Context(), "tokenservice", run, append(free, "-alias", "alias/tokens"), cli.Stdio{Out: io.Discard, Err: &errs}); status != 1 || !strings.Contains(errs.String(), "no AWS Region") {
		t.Errorf("status %d, standard error %q", status, &errs)
	}
}
