// Apigateway calls an API Gateway endpoint that requires IAM authorization. It
// signs the request with AWS Signature Version 4 and writes the token in the
// answer to standard output. The signing is in transport.go, an
// http.RoundTripper to copy.
//
// Without -url everything runs inside the program, so no AWS account is needed.
// A gateway on a loopback port verifies signatures as AWS does. Behind it is
// the token service of examples/tokenservice with a fake KMS, or with -service
// one that runs elsewhere. The program posts claims and verifies the token with
// the service's keys.
//
//	go -C examples run ./apigateway
//
//	go -C examples run ./tokenservice -listen 127.0.0.1:8080
//	go -C examples run ./apigateway -service http://127.0.0.1:8080
//
// With -url it calls that endpoint, with the ordinary AWS configuration:
// environment, profiles, roles. It needs the permission execute-api:Invoke.
//
//	go -C examples run ./apigateway -url https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod/token -data '{"sub":"alice"}'
//
// The Region is the first of these that is known: -region, the Region in a host
// name such as *.execute-api.REGION.amazonaws.com, and the configured Region.
//
// If the answer has an access_token (RFC 6749 section 5.1), the token goes to
// standard output. Any other answer goes there unchanged. A report goes to
// standard error. An answer other than 2xx is a failure, and so is a redirect,
// which is not followed. The exit status is 0, 2 for a wrong command line, and
// 1 for any other failure.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/kmssign/kmssign/examples/internal/cli"
)

// sample are the claims that are posted without -url and -data.
const sample = `{"sub":"alice","aud":"https://api.example","scope":"read"}`

func main() { cli.Main("apigateway", run) }

const about = `
Apigateway calls an API Gateway endpoint that requires IAM authorization. It signs the request with AWS Signature Version 4 and writes the token in the answer to standard output, or the whole answer if it has no token. Without -url it calls a gateway inside the program, with a token service and a fake KMS behind it, and needs no AWS account.

  apigateway -data '{"sub":"alice"}'
  apigateway -data @claims.json \
    -url https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod/token
`

// request is what the command line asks for.
type request struct {
	url     *url.URL // nil: the gateway inside the program
	service *url.URL // nil: the token service inside the program
	method  string
	data    *string // nil: none
	header  http.Header
	region  string
	timeout time.Duration
}

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	req, err := parse(args, stdio)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, req.timeout)
	defer cancel()
	output, report, err := call(ctx, req, stdio.In)
	if err != nil {
		return err
	}
	io.WriteString(stdio.Err, report)
	_, err = stdio.Out.Write(output)
	return err
}

func parse(args []string, stdio cli.Stdio) (request, error) {
	req := request{header: http.Header{}}
	flags := cli.NewFlags("apigateway", stdio)
	flags.About = about
	target := flags.String("url", "", "`URL` of an endpoint to call; none: a gateway inside the program")
	service := flags.String("service", "", "`URL` of a token service for the gateway inside the program; none: one with a fake KMS")
	flags.StringVar(&req.method, "method", "", "`method` of the request to -url (default: GET, or POST with -data)")
	flags.StringVar(&req.region, "region", "", "AWS `Region` of -url (default: the Region in its host name, or the configured one)")
	flags.PositiveVar(&req.timeout, "timeout", 15*time.Second, "give up after this `time`")
	flags.Func("data", "`body` of the request; @file reads it from a file, and - from standard input (default without -url: sample claims)", func(text string) error {
		req.data = &text
		return nil
	})
	flags.Func("H", "`name:value` of a header; may be repeated (default with a body: Content-Type:application/json)", func(text string) error {
		name, value, ok := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return errors.New("want name:value")
		}
		req.header.Add(name, strings.TrimSpace(value))
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return req, err
	}
	if err := req.complete(*target, *service); err != nil {
		return req, cli.Usage(err)
	}
	return req, nil
}

// complete sets the fields that depend on several flags. It returns an error if
// the flags do not go together.
func (req *request) complete(target, service string) error {
	switch {
	case target != "" && service != "":
		return errors.New("-service and -url are both given, want at most one")
	case target == "" && (req.method != "" || req.region != ""):
		return errors.New("-method and -region are for -url")
	}
	// The flag package would print the value, which is a secret.
	if _, ok := req.header["Authorization"]; ok {
		return errors.New("-H has an Authorization header, which the signature would replace")
	}
	var err error
	if req.url, err = parseURL("-url", target); err != nil {
		return err
	}
	if req.service, err = parseURL("-service", service); err != nil {
		return err
	}
	if req.service != nil && req.service.RawQuery != "" {
		return errors.New("-service has a query, want a URL without one")
	}
	if req.url == nil {
		req.method = http.MethodPost
		if req.data == nil {
			text := sample
			req.data = &text
		}
	}
	if req.method == "" {
		req.method = http.MethodGet
		if req.data != nil {
			req.method = http.MethodPost
		}
	}
	if _, err := http.NewRequest(req.method, "http://localhost", nil); err != nil {
		return fmt.Errorf("-method is %q, which is not an HTTP method", req.method)
	}
	return nil
}

// parseURL reads the URL that is the value of a flag. It returns nil if text is
// empty.
func parseURL(flag, text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%s is %q, want http or https, a host, and neither a user nor a fragment", flag, u.Redacted())
	}
	return u, nil
}

// An endpoint is a URL to call and the means to do so.
type endpoint struct {
	url       string
	transport *SigV4Transport
	accessKey string
	keys      string // URL of the keys that verify the token; empty: not known
	close     func()
}

// call sends the request. It returns the text for standard output and the
// report for standard error.
func call(ctx context.Context, req request, stdin io.Reader) (output []byte, report string, err error) {
	body, err := openData(req.data, stdin)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	open := openInProcess
	if req.url != nil {
		open = openURL
	}
	to, err := open(ctx, req)
	if err != nil {
		return nil, "", err
	}
	defer to.close()

	answer, status, err := to.send(ctx, req, body)
	if err != nil {
		return nil, "", err
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "request\t%s %s\n", req.method, to.url)
	fmt.Fprintf(w, "signed by\t%s, for execute-api in %s\n", to.accessKey, to.transport.Region)
	fmt.Fprintf(w, "status\t%s\n", status)
	token, ok := accessToken(answer)
	if ok {
		answer = []byte(token + "\n")
	}
	if to.keys != "" {
		if !ok {
			return nil, "", errors.New("the service answered without an access_token")
		}
		issuer, err := verify(ctx, to.keys, token)
		if err != nil {
			return nil, "", fmt.Errorf("the token does not verify: %w", err)
		}
		fmt.Fprintf(w, "issuer\t%s\n", issuer)
		fmt.Fprintf(w, "verified\tyes, by jwx with the keys of %s\n", to.keys)
	}
	w.Flush()
	return answer, b.String(), nil
}

// openData returns the body that -data names.
func openData(data *string, stdin io.Reader) (io.ReadCloser, error) {
	switch {
	case data == nil:
		return http.NoBody, nil
	case *data == "-" || *data == "@-": // curl has the second form
		return io.NopCloser(stdin), nil
	case strings.HasPrefix(*data, "@"):
		file, err := os.Open((*data)[1:])
		if err != nil {
			return nil, fmt.Errorf("-data: %w", err)
		}
		return file, nil
	}
	return io.NopCloser(strings.NewReader(*data)), nil
}

// openURL returns the endpoint of -url, with the ordinary AWS configuration.
func openURL(ctx context.Context, req request) (*endpoint, error) {
	region := cmp.Or(req.region, regionOf(req.url.Hostname()))
	cfg, err := cli.LoadConfig(ctx, region, "give -region")
	if err != nil {
		return nil, err
	}
	creds, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	return &endpoint{
		url:       req.url.String(),
		transport: &SigV4Transport{Credentials: cfg.Credentials, Region: cfg.Region},
		accessKey: creds.AccessKeyID,
		close:     func() {},
	}, nil
}

// executeAPI matches the host names that AWS gives to APIs: public, private,
// dual-stack and in China.
var executeAPI = regexp.MustCompile(`(?i)\.execute-api\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com|amazonaws\.com\.cn|api\.aws)$`)

// regionOf returns the Region in a host name, or the empty string if there is
// none.
func regionOf(host string) string {
	if m := executeAPI.FindStringSubmatch(host); m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}

// send sends the request and returns the body and the status of a 2xx answer.
func (to *endpoint) send(ctx context.Context, req request, body io.Reader) (answer []byte, status string, err error) {
	r, err := http.NewRequestWithContext(ctx, req.method, to.url, body)
	if err != nil {
		return nil, "", err
	}
	r.Header = req.header.Clone()
	r.Host = r.Header.Get("Host") // net/http ignores the header; empty: the host of the URL
	if req.data != nil && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{
		Transport:     to.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	answer, err = readAll(resp)
	if err != nil {
		return nil, "", fmt.Errorf("the answer of %s: %w", to.url, err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, "", fmt.Errorf("%s %s: %s: %s", req.method, to.url, resp.Status, explain(resp, answer))
	}
	return answer, resp.Status, nil
}

// readAll reads and closes the body of an answer.
func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("more than %d bytes", maxBody) // API Gateway does not return more either
	}
	return body, err
}

// explain returns the message in an answer other than 2xx. The message comes
// from the gateway, from IAM, which spells the member Message, or from the
// token service (RFC 6749 section 5.2).
func explain(resp *http.Response, body []byte) string {
	var said struct {
		Message     string `json:"message"` // encoding/json accepts Message, too
		Description string `json:"error_description"`
	}
	text := ""
	if err := json.Unmarshal(body, &said); err == nil {
		text = said.Message + said.Description
	}
	if location := resp.Header.Get("Location"); text == "" && location != "" {
		return "to " + location + ", which is not followed"
	}
	if text == "" {
		text = string(body)
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "..."
	}
	if text == "" {
		text = "no message"
	}
	// AWS's JSON protocols may append a colon and a link to the name.
	if kind, _, _ := strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":"); kind != "" {
		text = kind + ": " + text
	}
	return text
}

// accessToken returns the token in an answer that has one.
func accessToken(answer []byte) (token string, ok bool) {
	var parsed struct {
		AccessToken string `json:"access_token"`
	}
	err := json.Unmarshal(answer, &parsed)
	return parsed.AccessToken, err == nil && parsed.AccessToken != ""
}

// verify verifies a token as its receiver would, with the keys that the service
// publishes. It uses a library that the service does not use. It returns the
// issuer that the token names.
func verify(ctx context.Context, keysURL, token string) (issuer string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, keysURL, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	body, err := readAll(resp)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", keysURL, resp.Status)
	}
	// The set may have keys of a type that jwx does not know.
	keys, err := jwk.Parse(body, jwk.WithIgnoreParseError(true))
	if err != nil {
		return "", err
	}
	verified, err := jwt.ParseString(token, jwt.WithKeySet(keys), jwt.WithAcceptableSkew(time.Minute))
	if err != nil {
		return "", err
	}
	issuer, _ = verified.Issuer()
	return issuer, nil
}
