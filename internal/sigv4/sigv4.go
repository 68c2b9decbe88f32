// Package sigv4 verifies AWS Signature Version 4 in HTTP requests, as KMS and
// API Gateway do. It is for fakes of them.
//
// The signer of the SDK cannot sign a request again for comparison, because it
// omits headers that SDKs in other languages sign, such as User-Agent. This
// package builds the canonical request of the headers in SignedHeaders, as
// described in the IAM User Guide, "AWS Signature Version 4 for API requests".
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

// A Verifier verifies requests to a service in a Region. It is safe for
// concurrent use.
type Verifier struct {
	// Service is the service in the credential scope, such as kms or
	// execute-api.
	Service string

	// Region is the Region in the credential scope, such as us-east-1.
	Region string

	// Credentials are the only credentials that are accepted. If they have a
	// SessionToken, the request must carry it. If they have expired, no request
	// is accepted.
	Credentials aws.Credentials
}

// Verify verifies the signature in the Authorization header of r. body is the
// body of r, which the caller has read. The date of the signature may be up to
// five minutes before or after the current time. If the request is not valid,
// Verify returns a [smithy.APIError] with the code and the text of AWS.
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
		// AWS answers an unknown access key and an unknown token alike.
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
		return refuse("InvalidSignatureException", "sigv4: parse the query: %v", err)
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
	maxSkew      = 5 * time.Minute // of the date of a request, either way
)

// authorization is a parsed Authorization header.
type authorization struct {
	accessKey, date, region, service, terminator string
	signedHeaders                                []string
	signature                                    string
}

// parseAuthorization parses an Authorization header of the form
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

// canonicalRequest returns the text that the signature of a request covers. It
// has the headers in signedHeaders only, because SDKs sign different headers
// and a proxy may add others.
func canonicalRequest(r *http.Request, signedHeaders []string, body []byte) (string, error) {
	var headers strings.Builder
	for _, name := range signedHeaders {
		values := slices.Clone(r.Header.Values(name))
		switch name { // net/http removes these from r.Header
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
		httpbinding.EscapePath(path, false), // again, as for all services except S3
		query,
		headers.String(),
		strings.Join(signedHeaders, ";"),
		hex.EncodeToString(sum[:]),
	}, "\n"), nil
}

// canonicalQuery encodes the parameters of a query and sorts them by name and
// value. It does not use url.ParseQuery, which drops some parameters: the
// signature would not cover them.
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

// sign returns the signature of a canonical request in hexadecimal.
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

// checkScope checks the credential scope, the signed headers and the date of a
// signature.
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
		// AWS requires that all headers with this prefix are signed.
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
