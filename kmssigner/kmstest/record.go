package kmstest

import "slices"

// Request is a call that a KMS has received.
type Request struct {
	// Operation is the name of the operation, such as "Sign".
	Operation string

	// Key is the identifier of the key as the caller wrote it, or empty if the
	// request has none.
	Key string

	// Input is the input of the operation, such as a *kms.SignInput, or nil if
	// the body was not a valid input. It must not be modified.
	Input any

	// Status is the HTTP status of the answer, or 0 if there was no answer or
	// the call is still being served.
	Status int

	// Code is the error code of the answer. It is empty if the call succeeded,
	// and if [Respond] answered it.
	Code string
}

// The record of calls has these limits, so that its size does not grow with the
// number of calls or with what is in them.
const (
	maxRequests     = 1000
	maxRequestBytes = 8 << 20 // of the names and bodies of the requests
	maxUnknown      = 100     // names of operations that the fake does not have
	maxUnknownName  = 100     // bytes of such a name
)

// record holds the calls that a KMS has received.
type record struct {
	calls    map[string]int // number by operation
	total    int            // number of all calls
	unknown  int            // number of names in calls that are not operations
	requests []recorded     // the last ones
	bytes    int            // sum of their sizes
}

type recorded struct {
	*Request
	size int // bytes of the request
}

// add records a call whose request has a body of size bytes.
func (r *record) add(q *Request, size int) {
	r.total++
	r.count(q)
	size += len(q.Operation)
	r.requests = append(r.requests, recorded{q, size})
	r.bytes += size
	drop := 0
	for len(r.requests)-drop > maxRequests || r.bytes > maxRequestBytes && drop < len(r.requests)-1 {
		r.bytes -= r.requests[drop].size
		drop++
	}
	r.requests = slices.Delete(r.requests, 0, drop)
}

// count counts a call by its operation, unless it is one of too many made-up
// names. It shortens a made-up name that is long.
func (r *record) count(q *Request) {
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	if _, known := operations[q.Operation]; !known {
		if len(q.Operation) > maxUnknownName {
			q.Operation = string([]byte(q.Operation[:maxUnknownName])) // a copy, to free the rest
		}
		if _, counted := r.calls[q.Operation]; !counted {
			if r.unknown == maxUnknown {
				return
			}
			r.unknown++
		}
	}
	r.calls[q.Operation]++
}

// Requests returns the last 1000 calls, oldest first, or fewer if their
// requests have more than 8 MiB together. They include calls that faults
// applied to and calls that are still being served. They do not include calls
// that the SDK did not send because of an invalid input. Each attempt of a
// client that retries is a call.
func (k *KMS) Requests() []Request {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Request
	for _, q := range k.seen.requests {
		all = append(all, *q.Request)
	}
	return all
}

// Calls returns the number of calls of an operation, or of all operations if
// operation is empty. It counts the same calls as [KMS.Requests], without its
// limits. Of operations that the fake does not have, it counts the calls of
// only the first 100 different names.
func (k *KMS) Calls(operation string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if operation == "" {
		return k.seen.total
	}
	return k.seen.calls[operation]
}
