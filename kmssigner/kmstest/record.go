package kmstest

import "slices"

// Request is a call that a KMS has seen.
type Request struct {
	Operation string // "Sign" and so on
	Key       string // the key asked for, as the caller spelled it; or empty
	Input     any    // a *kms.SignInput and so on, to be read only; nil if the body was none

	// Status and Code are the HTTP status and the error code answered. Status
	// is 0 where there was no answer, or is none yet. Code is empty for a
	// success, and for a body that was not KMS's.
	Status int
	Code   string
}

// maxRequests is how many requests are kept, so that a long test does not run
// out of memory.
const maxRequests = 1000

// record is what a KMS has seen.
type record struct {
	calls    map[string]int // by operation
	requests []*Request     // the last ones
}

func (r *record) add(q *Request) {
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	r.calls[q.Operation]++
	if len(r.requests) == maxRequests {
		r.requests = slices.Delete(r.requests, 0, 1)
	}
	r.requests = append(r.requests, q)
}

// Requests returns the last 1000 calls, oldest first: those that faults hit and
// those still being served too. Calls that the SDK refuses to send are none, and
// each attempt of a client that retries is one.
func (k *KMS) Requests() []Request {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Request
	for _, q := range k.seen.requests {
		all = append(all, *q)
	}
	return all
}

// Calls returns how many calls of an operation there have been, in the sense of
// Requests but without its limit. The empty name counts all operations.
func (k *KMS) Calls(operation string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if operation != "" {
		return k.seen.calls[operation]
	}
	n := 0
	for _, calls := range k.seen.calls {
		n += calls
	}
	return n
}
