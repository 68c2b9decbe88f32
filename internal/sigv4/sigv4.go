// Package sigv4 verifies AWS Signature Version 4 on the receiving side, for tests: as
// KMS does, and as API Gateway does before it lets a caller in.
//
// The SDK's own signer could sign a request again for comparison, but it leaves out
// headers that SDKs of other languages sign, User-Agent for one. So the canonical
// request is built here, of exactly the headers that the caller says it has signed,
// as the AWS documentation has it ("Signature Version 4 signing process"). The tests
// hold it against the SDK's signer and against signatures that AWS has published.
package sigv4

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/httpbinding"
)

// A Verifier verifies requests to one service in one Region, signed with one set of
// credentials. It is safe for concurrent use.
type Verifier struct {
	// Service and Region are what the signature must be for, such as kms or
	// execute-api, and us-east-1.
	Service, Region string

	// Credentials are the only ones that are accepted. If they have a SessionToken,
	// the request must carry it.
	Credentials aws.Credentials
}

// Verify reports whether the Authorization header of r is a signature over r and body,
// which the caller has read from it, made at most five minutes ago, or by a clock that
// is at most five minutes fast. The error is AWS's, with its code and its text: a
// [smithy.APIError].
func (v Verifier) Verify(r *http.Request, body []byte) error {
	if refusal := v.verify(r, body); refusal != nil {
		return refusal
	}
	return nil
}

func (v Verifier) verify(r *http.Request, body []byte) *smithy.GenericAPIError {
	if r.Header.Get("Authorization") == "" {
		return refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	a, refusal := parseAuthorization(r.Header.Get("Authorization"))
	if refusal != nil {
		return refusal
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(amzDate, date)
	if err != nil {
		return refuse("IncompleteSignatureException", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Date must be in ISO-8601 'basic format'. Got '%s'.", date)
	}
	if a.accessKey != v.Credentials.AccessKeyID || r.Header.Get("X-Amz-Security-Token") != v.Credentials.SessionToken {
		// AWS has the same words for a key and a token that it does not know.
		return refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if v.Credentials.Expired() {
		return refuse("ExpiredTokenException", "The security token included in the request is expired")
	}
	if refusal := v.checkScope(r, a, at); refusal != nil {
		return refusal
	}
	canonical, err := canonicalRequest(r, a.signedHeaders, body)
	if err != nil {
		return refuse("InvalidSignatureException", "The query string cannot be read: %v", err)
	}
	want := a.sign(v.Credentials.SecretAccessKey, date, canonical)
	if subtle.ConstantTimeCompare([]byte(want), []byte(a.signature)) != 1 {
		return refuse("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

func refuse(code, format string, args ...any) *smithy.GenericAPIError {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

const (
	sigAlgorithm = "AWS4-HMAC-SHA256"
	amzDate      = "20060102T150405Z"
	// How far a request's date may be off, either way.
	maxSkew = 5 * time.Minute
)

// authorization is a parsed Authorization header.
type authorization struct {
	accessKey, date, region, service, terminator string
	signedHeaders                                []string
	signature                                    string
}

// parseAuthorization reads
//
//	AWS4-HMAC-SHA256 Credential=AKID/20060102/region/kms/aws4_request, SignedHeaders=a;b, Signature=hex
func parseAuthorization(h string) (authorization, *smithy.GenericAPIError) {
	var a authorization
	rest, ok := strings.CutPrefix(h, sigAlgorithm+" ")
	if !ok {
		return a, refuse("IncompleteSignatureException", "Unsupported AWS 'algorithm': '%s'.", strings.SplitN(h, " ", 2)[0])
	}
	params := map[string]string{}
	for _, p := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		params[name] = value
	}
	var missing []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if params[name] == "" {
			missing = append(missing, fmt.Sprintf("Authorization header requires '%s' parameter.", name))
		}
	}
	if missing != nil {
		return a, refuse("IncompleteSignatureException", "%s Authorization=%s", strings.Join(missing, " "), sigAlgorithm)
	}
	scope := strings.Split(params["Credential"], "/")
	if len(scope) != 5 {
		return a, refuse("IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'.", params["Credential"])
	}
	a.accessKey, a.date, a.region, a.service, a.terminator = scope[0], scope[1], scope[2], scope[3], scope[4]
	a.signedHeaders = strings.Split(params["SignedHeaders"], ";")
	a.signature = params["Signature"]
	return a, nil
}

// canonicalRequest is the text that a request's signature covers. It has the
// headers that the caller says it has signed, whichever they are: SDKs differ in
// that (the Go SDK's signer never signs User-Agent, others do), and a header that
// a proxy added is none of the signature's business.
func canonicalRequest(r *http.Request, signedHeaders []string, body []byte) (string, error) {
	var headers strings.Builder
	for _, name := range signedHeaders {
		values := slices.Clone(r.Header.Values(name))
		switch name { // net/http keeps these elsewhere
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		for i, v := range values {
			values[i] = strings.Join(strings.Fields(v), " ")
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(values, ","))
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return strings.Join([]string{
		r.Method,
		httpbinding.EscapePath(path, false), // a second time, as all services but S3 do
		query,
		headers.String(),
		strings.Join(signedHeaders, ";"),
		hex.EncodeToString(sum[:]),
	}, "\n"), nil
}

// canonicalQuery encodes the parameters and then sorts them by name and value. Every
// byte of the query is in it: what url.Values would drop would go unsigned.
func canonicalQuery(raw string) (string, error) {
	type parameter struct{ name, value string }
	var parameters []parameter
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		var p parameter
		for _, part := range []struct {
			raw string
			to  *string
		}{{name, &p.name}, {value, &p.value}} {
			text, err := url.QueryUnescape(part.raw)
			if err != nil {
				return "", err
			}
			*part.to = strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
		}
		parameters = append(parameters, p)
	}
	slices.SortFunc(parameters, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	var pairs []string
	for _, p := range parameters {
		pairs = append(pairs, p.name+"="+p.value)
	}
	return strings.Join(pairs, "&"), nil
}

// sign computes the signature of a canonical request, in hexadecimal.
func (a authorization) sign(secret, date, canonical string) string {
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	sum := sha256.Sum256([]byte(canonical))
	scope := []string{a.date, a.region, a.service, a.terminator}
	key := []byte("AWS4" + secret)
	for _, part := range scope {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, strings.Join([]string{
		sigAlgorithm, date, strings.Join(scope, "/"), hex.EncodeToString(sum[:]),
	}, "\n")))
}

// checkScope checks what a signature is for, and when it was made.
func (v Verifier) checkScope(r *http.Request, a authorization, at time.Time) *smithy.GenericAPIError {
	invalid := func(format string, args ...any) *smithy.GenericAPIError {
		return refuse("InvalidSignatureException", format, args...)
	}
	stamp := at.Format(amzDate)
	switch {
	case a.region != v.Region:
		return invalid("Credential should be scoped to a valid region. ")
	case a.service != v.Service:
		return invalid("Credential should be scoped to correct service: '%s'. ", v.Service)
	case a.terminator != "aws4_request":
		return invalid("Credential should be scoped with a valid terminator: 'aws4_request', not '%s'. ", a.terminator)
	case a.date != stamp[:8]:
		return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", a.date, stamp[:8], stamp)
	case !slices.Contains(a.signedHeaders, "host"):
		return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		// The documentation of Signature Version 4 wants all of these signed.
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(a.signedHeaders, name) {
			return invalid("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	current := time.Now().UTC()
	switch oldest, newest := current.Add(-maxSkew), current.Add(maxSkew); {
	case at.Before(oldest):
		return invalid("Signature expired: %s is now earlier than %s (%s - 5 min.)", stamp, oldest.Format(amzDate), current.Format(amzDate))
	case at.After(newest):
		return invalid("Signature not yet current: %s is still later than %s (%s + 5 min.)", stamp, newest.Format(amzDate), current.Format(amzDate))
	}
	return nil
}
