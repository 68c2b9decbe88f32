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
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
	"github.com/kmssign/kmssign/examples/internal/cli"
)

// invoke runs the program.
func invoke(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), "apigateway", run, args, cli.Stdio{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

// issued runs the program, which must print a token and nothing else, and
// returns its claims, and what was on standard error.
func issued(t *testing.T, stdin string, args ...string) (jwt.MapClaims, string) {
	t.Helper()
	status, stdout, stderr := invoke(t, stdin, args...)
	token, ok := strings.CutSuffix(stdout, "\n")
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token, claims)
	if status != 0 || !ok || err != nil {
		t.Fatalf("apigateway %q: status %d, %v, standard output %q, standard error:\n%s", args, status, err, stdout, stderr)
	}
	return claims, stderr
}

// fails runs the program, which must fail with one line that has want.
func fails(t *testing.T, want string, status int, stdin string, args ...string) {
	t.Helper()
	got, stdout, stderr := invoke(t, stdin, args...)
	if got != status || stdout != "" || !strings.HasPrefix(stderr, "apigateway: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) {
		t.Errorf("apigateway %q: status %d, standard output %q, standard error:\n%s\nwant status %d and %q", args, got, stdout, stderr, status, want)
	}
}

// configure makes the ordinary AWS environment one that the gateway of newAPI
// lets in.
func configure(t *testing.T) {
	t.Helper()
	awsenv.Isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", testCreds.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testCreds.SecretAccessKey)
	t.Setenv("AWS_SESSION_TOKEN", testCreds.SessionToken)
	t.Setenv("AWS_REGION", region)
}

func TestDefault(t *testing.T) {
	awsenv.Isolate(t)
	claims, stderr := issued(t, "")
	if claims["sub"] != "alice" || claims["scope"] != "read" || claims["jti"] == nil {
		t.Errorf("claims %v", claims)
	}
	for _, want := range []string{
		"request    POST http://127.0.0.1:",
		"/prod/token\n",
		"signed by  ASIAIOSFODNN7EXAMPLE, for execute-api in us-east-1\n",
		"status     200 OK\n",
		"issuer     http://127.0.0.1:",
		"verified   yes, by jwx with the keys of http://127.0.0.1:",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
	claims, _ = issued(t, `{"sub":"bob"}`, "-data", "-")
	if claims["sub"] != "bob" {
		t.Errorf("claims %v", claims)
	}
	fails(t, `400 Bad Request: the claim "iss" is set by the service`, 1, "", "-data", `{"sub":"bob","iss":"https://me.example"}`)
	fails(t, "415 Unsupported Media Type: ", 1, "", "-H", "Content-Type: text/plain")
}

// TestTwoCommands runs the token service as a program of its own.
func TestTwoCommands(t *testing.T) {
	awsenv.Isolate(t)
	program := filepath.Join(t.TempDir(), "tokenservice")
	if out, err := exec.Command("go", "build", "-o", program, "../tokenservice").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(program, "-listen", "127.0.0.1:0")
	logs, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(logs)
	var serving struct{ Address string }
	for serving.Address == "" && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &serving); err != nil {
			t.Fatal(err)
		}
	}
	claims, stderr := issued(t, "", "-service", "http://"+serving.Address)
	if claims["iss"] != "http://"+serving.Address || !strings.Contains(stderr, "with the keys of http://"+serving.Address+"/.well-known/jwks.json\n") {
		t.Errorf("iss %v, standard error:\n%s", claims["iss"], stderr)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	fails(t, "504 Gateway Timeout: InternalServerErrorException: Network error communicating with endpoint", 1, "", "-service", "http://"+serving.Address)
}

func TestURL(t *testing.T) {
	configure(t)
	api := newAPI(t)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want echo
	}{
		{nil, echo{Method: "GET"}},
		{[]string{"-data", "text"}, echo{Method: "POST", Body: "text", ContentType: "application/json"}},
		{[]string{"-data", ""}, echo{Method: "POST", ContentType: "application/json"}},
		{[]string{"-data", "@" + file, "-method", "PUT"}, echo{Method: "PUT", Body: "from a file", ContentType: "application/json"}},
		{[]string{"-data", "-"}, echo{Method: "POST", Body: "from standard input", ContentType: "application/json"}},
		{[]string{"-data", "@-", "-H", "Content-Type: text/plain", "-H", callerHeader + ":me"}, echo{Method: "POST", Body: "from standard input", ContentType: "text/plain"}},
		{[]string{"-method", "DELETE", "-region", region, "-H", "Host: api.example"}, echo{Method: "DELETE"}},
	} {
		status, stdout, stderr := invoke(t, "from standard input", append(tt.args, "-url", api.url+"/a%20b?b=2&a=1")...)
		// The service echoes the body, and what is no token comes as it is.
		if status != 0 || stdout != tt.want.Body || !strings.Contains(stderr, "signed by  ASIATEST, for execute-api in us-east-1\n") {
			t.Errorf("%q: status %d, standard output %q, standard error:\n%s", tt.args, status, stdout, stderr)
		}
		tt.want.Path, tt.want.Query, tt.want.Caller = "/a%20b", "b=2&a=1", []string{callerARN}
		if got := api.last(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%q: arrived as %q, want %q", tt.args, got, tt.want)
		}
	}
	hosts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) }))
	defer hosts.Close()
	if _, stdout, stderr := invoke(t, "", "-url", hosts.URL, "-H", "Host: api.example"); stdout != "api.example" {
		t.Errorf("called as %q:\n%s", stdout, stderr)
	}
	// Of a token response the token alone.
	status, stdout, _ := invoke(t, "", "-url", api.url+"/token", "-data", `{"access_token":"a.b.c","token_type":"Bearer"}`)
	if status != 0 || stdout != "a.b.c\n" {
		t.Errorf("status %d, standard output %q", status, stdout)
	}
}

func TestFailures(t *testing.T) {
	configure(t)
	api := newAPI(t)
	fails(t, "-data: open ", 1, "", "-url", api.url, "-data", "@"+filepath.Join(t.TempDir(), "none"))
	fails(t, "invalid header field", 1, "", "-url", api.url, "-H", "a b: c")
	fails(t, "403 Forbidden: ForbiddenException: Forbidden", 1, "", "-url", strings.TrimSuffix(api.url, stage)+"other")
	fails(t, "403 Forbidden: InvalidSignatureException: Credential should be scoped to a valid region.", 1, "", "-url", api.url, "-region", "eu-central-1")

	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"a policy": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("x-amzn-ErrorType", "AccessDeniedException")
			w.WriteHeader(403)
			fmt.Fprint(w, `{"Message":"User: arn:aws:iam::111122223333:user/a is not authorized to perform: execute-api:Invoke"}`)
		}, "403 Forbidden: AccessDeniedException: User: arn:aws:iam::111122223333:user/a is not authorized"},
		"lines and escapes": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(403)
			fmt.Fprint(w, `{"message":"one\n\ntwo\u001b[31m"}`)
		}, "403 Forbidden: one two\uFFFD[31m\n"},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("x", 1000), http.StatusBadGateway)
		}, "502 Bad Gateway: " + strings.Repeat("x", 200) + "...\n"},
		"nothing":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "500 Internal Server Error: no message\n"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Location", "/b"); w.WriteHeader(307) }, "307 Temporary Redirect: to /b, which is not followed\n"},
		"too much":   {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody+1)) }, "more than 10485760 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			fails(t, tt.want, 1, "", "-url", server.URL)
		})
	}

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	fails(t, "403 Forbidden: InvalidSignatureException: The request signature we calculated does not match", 1, "", "-url", api.url)
	os.Unsetenv("AWS_ACCESS_KEY_ID")
	os.Unsetenv("AWS_SECRET_ACCESS_KEY")
	fails(t, "no AWS credentials: set AWS_ACCESS_KEY_ID", 1, "", "-url", api.url)
	os.Unsetenv("AWS_REGION")
	fails(t, "no AWS Region: set AWS_REGION, choose a profile that has one, or give -region", 1, "", "-url", api.url)
	t.Setenv("AWS_PROFILE", "none")
	fails(t, "AWS configuration: ", 1, "", "-url", api.url)
}

func TestNoNetwork(t *testing.T) {
	configure(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	// Connections to a listener that nobody accepts from are never answered.
	at := "http://" + listener.Addr().String()
	fails(t, context.DeadlineExceeded.Error(), 1, "", "-url", at, "-timeout", "50ms")
	// Nor does standard input always end.
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	if status := cli.Run(ctx, "apigateway", run, []string{"-url", at, "-data", "-"}, cli.Stdio{In: terminal{cancel}, Out: io.Discard, Err: &stderr}); status != 1 || !strings.Contains(stderr.String(), "body: context canceled") {
		t.Errorf("status %d, standard error %q", status, stderr.String())
	}
	listener.Close()
	fails(t, "connection refused", 1, "", "-url", at)
}

// terminal is a standard input that nobody types at. Its reader is interrupted
// once it waits.
type terminal struct{ interrupt func() }

func (t terminal) Read([]byte) (int, error) {
	t.interrupt()
	select {}
}

// A service whose keys do not verify its token is a failure.
func TestNotVerified(t *testing.T) {
	awsenv.Isolate(t)
	to, stop, err := startService(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	resp, err := http.Get(to.JoinPath("/.well-known/jwks.json").String())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := readAll(resp)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err = http.Post(to.JoinPath("/token").String(), "application/json", strings.NewReader(sample)); err != nil {
		t.Fatal(err)
	}
	answer, err := readAll(resp)
	if err != nil {
		t.Fatal(err)
	}
	token, _ := accessToken(answer)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the service answered %s", answer)
	}
	forged := `{"access_token":"` + parts[0] + ".eyJzdWIiOiJhZG1pbiJ9." + parts[2] + `"}`
	for name, tt := range map[string]struct{ token, keys, want string }{
		"other claims": {forged, string(keys), "the token does not verify"},
		"other keys":   {string(answer), `{"keys":[]}`, "the token does not verify"},
		"no token":     {`{}`, `{"keys":[]}`, "without an access_token"},
		"not a token":  {`{"access_token":"a.b.c"}`, `{"keys":[]}`, "the token does not verify"},
		"not keys":     {`{"access_token":"a.b.c"}`, `<html>`, "the token does not verify"},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("/v1/token", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tt.token) })
			mux.HandleFunc("/v1/.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tt.keys) })
			server := httptest.NewServer(mux)
			defer server.Close()
			fails(t, tt.want, 1, "", "-service", server.URL+"/v1/")
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			w.WriteHeader(404)
			return
		}
		fmt.Fprint(w, `{"access_token":"a.b.c"}`)
	}))
	defer server.Close()
	fails(t, "/.well-known/jwks.json: 404 Not Found", 1, "", "-service", server.URL)
}

func TestCommandLine(t *testing.T) {
	for want, args := range map[string][]string{
		`unexpected argument "x"`:          {"x"},
		"-url is empty":                    {"-url", ""},
		"-service is empty":                {"-service="},
		"-timeout is 0s":                   {"-timeout", "0"},
		"-service and -url are both given": {"-url", "http://a.example", "-service", "http://b.example"},
		"-method and -region":              {"-method", "GET"},
		"are for -url":                     {"-region", region},
		"-url: ":                           {"-url", "http://a b"},
		`-url is "ftp://a"`:                {"-url", "ftp://a"},
		`-url is "a.example/x"`:            {"-url", "a.example/x"},
		`"http:///x"`:                      {"-url", "http:///x"},
		`"https://u:xxxxx@a"`:              {"-url", "https://u:secret@a"},
		"nor a fragment":                   {"-url", "https://a#b"},
		"-service is":                      {"-service", "localhost:8080"},
		"-service has a query":             {"-service", "http://localhost:8080?a"},
		"not an HTTP method":               {"-url", "https://a", "-method", "A B"},
	} {
		fails(t, want, 2, "", args...)
	}
	for _, header := range []string{"Authorization: Bearer hidden", "authorization :hidden", "AUTHORIZATION:"} {
		for _, args := range [][]string{{"-H", header}, {"-url", "https://a", "-H", header}} {
			fails(t, "-H has an Authorization header, which the signature would replace", 2, "", args...)
			if _, _, stderr := invoke(t, "", args...); strings.Contains(stderr, "hidden") {
				t.Errorf("%q: standard error has the value: %s", args, stderr)
			}
		}
	}
	for _, args := range [][]string{{"-none"}, {"-H", "x"}, {"-H", ":x"}, {"-timeout", "x"}} {
		if status, stdout, stderr := invoke(t, "", args...); status != 2 || stdout != "" || stderr == "" {
			t.Errorf("%q: status %d, standard output %q, standard error %q", args, status, stdout, stderr)
		}
	}
	if status, stdout, stderr := invoke(t, "", "-h"); status != 0 || stderr != "" || !strings.HasPrefix(stdout, "Apigateway calls") || !strings.Contains(stdout, "-service URL") {
		t.Errorf("-h: status %d, standard output %q, standard error %q", status, stdout, stderr)
	}
}

func TestRegionOf(t *testing.T) {
	for host, want := range map[string]string{
		"a1b2c3.execute-api.eu-central-1.amazonaws.com":            "eu-central-1",
		"A1B2C3.Execute-API.EU-Central-1.amazonaws.com":            "eu-central-1",
		"a1b2c3.execute-api.cn-north-1.amazonaws.com.cn":           "cn-north-1",
		"a1b2c3.execute-api.us-east-1.api.aws":                     "us-east-1",
		"a1b2c3-vpce-0123.execute-api.us-gov-west-1.amazonaws.com": "us-gov-west-1",
		"vpce-0123-abcd.execute-api.us-east-2.vpce.amazonaws.com":  "us-east-2",
		"execute-api.us-east-1.amazonaws.com":                      "",
		"a1b2c3.execute-api.us-east-1.amazonaws.com.evil.example":  "",
		"a1b2c3.execute-api.us-east-1.evil.example":                "",
		"a1b2c3.execute-api.us-east-1.evilamazonaws.com":           "",
		"api.example": "",
		"127.0.0.1":   "",
	} {
		if got := regionOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
