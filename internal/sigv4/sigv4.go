// Package sigv4 verifies AWS Signature Version 4 in HTTP requests, as KMS and
// API Gateway do. It is for fakes of them.
//
// The signer of the SDK cannot sign a request again for comparison, because it
// omits headers that SDKs in other languages sign, such as User-Agent. This
// package builds the canonical request of the headers in SignedHeaders, as
// described in the IAM User Guide, "AWS Signature Version 4 for API requests".
package sigv4

import (
	"bufio"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
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

	// AnyCredentials makes Verify accept any access key and session token, so
	// that Credentials have no effect. Signatures cannot be verified then.
	// Their form, scope and date still are.
	AnyCredentials bool
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
	if !v.AnyCredentials {
		if a.accessKey != v.Credentials.AccessKeyID || r.Header.Get("X-Amz-Security-Token") != v.Credentials.SessionToken {
			// AWS answers an unknown access key and an unknown token alike.
			return refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
		}
		if v.Credentials.Expired() {
			return refuse("ExpiredTokenException", "The security token included in the request is expired")
		}
	}
	if refusal := v.checkScope(r, a, at); refusal != nil || v.AnyCredentials {
		return refusal
	}
	canonical := sha256.New()
	if err := writeCanonicalRequest(canonical, r, a.signedHeaders, body); err != nil {
		return refuse("InvalidSignatureException", "sigv4: parse the query: %v", err)
	}
	want := a.sign(v.Credentials.SecretAccessKey, date, canonical.Sum(nil))
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
	params := map[string]string{"Credential": "", "Signature": "", "SignedHeaders": ""}
	for p := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if _, known := params[name]; known {
			params[name] = value
		}
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
	scope := strings.SplitN(params["Credential"], "/", 6)
	if len(scope) != 5 {
		return a, refuse("IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'.", params["Credential"])
	}
	a.accessKey, a.date, a.region, a.service, a.terminator = scope[0], scope[1], scope[2], scope[3], scope[4]
	a.signedHeaders = strings.Split(params["SignedHeaders"], ";")
	a.signature = params["Signature"]
	// Names in upper case or given twice would name a header more than once,
	// and the canonical request would have its value each time. The code and
	// the text are not recorded.
	for i, name := range a.signedHeaders {
		if strings.ToLower(name) != name || i > 0 && name <= a.signedHeaders[i-1] {
			return a, refuse("IncompleteSignatureException", "SignedHeaders must have each name once, in lower case and in alphabetical order.")
		}
	}
	return a, nil
}

// ScopeRegion returns the Region in the credential scope of r, before r is
// verified. It returns an empty string if r has none.
func ScopeRegion(r *http.Request) string {
	a, refusal := parseAuthorization(r.Header.Get("Authorization"))
	if refusal != nil {
		return ""
	}
	return a.region
}

// writeCanonicalRequest writes the text that the signature of a request covers.
// It has the headers in signedHeaders only, because SDKs sign different headers
// and a proxy may add others. It writes as it goes, so that a request costs no
// more than its size.
func writeCanonicalRequest(to io.Writer, r *http.Request, signedHeaders []string, body []byte) error {
	w := bufio.NewWriter(to)
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	// The path is escaped again, as for all services except S3.
	fmt.Fprintf(w, "%s\n%s\n", r.Method, httpbinding.EscapePath(path, false))
	if err := writeCanonicalQuery(w, r.URL.RawQuery); err != nil {
		return err
	}
	w.WriteString("\n")
	for _, name := range signedHeaders {
		values := r.Header.Values(name)
		switch name { // net/http removes these from r.Header
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
		w.WriteString(name)
		for i, v := range values {
			separator := ","
			if i == 0 {
				separator = ":"
			}
			for field := range strings.FieldsSeq(v) {
				w.WriteString(separator)
				w.WriteString(field)
				separator = " "
			}
			if separator != " " { // no fields
				w.WriteString(separator)
			}
		}
		if len(values) == 0 {
			w.WriteString(":")
		}
		w.WriteString("\n")
	}
	fmt.Fprintf(w, "\n%s\n%x", strings.Join(signedHeaders, ";"), sha256.Sum256(body))
	return w.Flush() // returns an error of any write
}

// writeCanonicalQuery encodes the parameters of a query and writes them sorted
// by name and value. It does not use url.ParseQuery, which drops some
// parameters: the signature would not cover them.
func writeCanonicalQuery(w *bufio.Writer, raw string) error {
	type parameter struct{ name, value string }
	parameters := make([]parameter, 0, strings.Count(raw, "&")+1)
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
				return err
			}
			*part.to = strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
		}
		parameters = append(parameters, p)
	}
	slices.SortFunc(parameters, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	for i, p := range parameters {
		if i > 0 {
			w.WriteString("&")
		}
		w.WriteString(p.name)
		w.WriteString("=")
		w.WriteString(p.value)
	}
	return nil
}

// sign returns the signature in hexadecimal of the canonical request with a
// SHA-256 hash.
func (a authorization) sign(secret, date string, canonical []byte) string {
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	scope := []string{a.date, a.region, a.service, a.terminator}
	key := []byte("AWS4" + secret)
	for _, part := range scope {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, strings.Join([]string{
		sigAlgorithm, date, strings.Join(scope, "/"), hex.EncodeToString(canonical),
	}, "\n")))
}

// signs reports whether the signature covers a header.
func (a authorization) signs(name string) bool {
	_, found := slices.BinarySearch(a.signedHeaders, name)
	return found
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
	case !a.signs("host"):
		return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		// AWS requires that all headers with this prefix are signed.
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !a.signs(name) {
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
