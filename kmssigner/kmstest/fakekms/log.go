package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// logged logs requests that are refused for their credentials, with the remedy,
// and with -v all requests.
func logged(next http.Handler, logger *log.Logger, c config) http.Handler {
	var last atomic.Int64 // time of the last remedy in the log
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		code := seen.code()
		if c.verbose {
			logger.Print(strings.TrimSpace(fmt.Sprintf("%s %d %s", operation(r), seen.status, code)))
		}
		now, before := time.Now().UnixNano(), last.Load()
		if text := remedy(code, r, c); text != "" && now-before >= int64(time.Second) && last.CompareAndSwap(before, now) {
			logger.Printf("%s refused: %s", operation(r), text)
		}
	})
}

// operation returns the name of the operation of a request, in a form that a
// terminal can show.
func operation(r *http.Request) string {
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if name == "" {
		name = r.Method + " " + r.URL.Path
	}
	if len(name) > 60 {
		name = name[:60] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
}

// remedy returns what to do about a request that is refused for its
// credentials, and an empty string for other answers.
func remedy(code string, r *http.Request, c config) string {
	switch code {
	case "UnrecognizedClientException":
		if r.Header.Get("X-Amz-Security-Token") != "" {
			return "it has a session token; unset AWS_SESSION_TOKEN and AWS_PROFILE, or start fakekms with -credentials any"
		}
		return "fakekms accepts the access key " + c.credentials.AccessKeyID + " only; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to what it printed, or start it with -credentials any"
	case "InvalidSignatureException":
		return "the signature does not fit; AWS_SECRET_ACCESS_KEY must be what fakekms printed, the Region one of the partition of " + c.region + ", and the clock right; or start fakekms with -credentials any"
	case "MissingAuthenticationTokenException":
		return "it is not signed; give the client the credentials that fakekms printed"
	}
	return ""
}

// recorder records the status and the beginning of the body of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	body   []byte // of an error, at most maxRecorded bytes
}

const maxRecorded = 1024

func (w *recorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status >= http.StatusBadRequest {
		w.body = append(w.body, b[:min(len(b), maxRecorded-len(w.body))]...)
	}
	return w.ResponseWriter.Write(b)
}

// code returns the error code of the answer, or an empty string.
func (w *recorder) code() string {
	var answer struct {
		Type string `json:"__type"`
	}
	if json.Unmarshal(w.body, &answer) != nil {
		return ""
	}
	return answer.Type
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
