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

// maxRequests is the number of requests that are kept. It bounds the memory of
// a long test.
const maxRequests = 1000

// record holds the calls that a KMS has received.
type record struct {
	calls    map[string]int // number by operation
	requests []*Request     // the last maxRequests
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

// Requests returns the last 1000 calls, oldest first. They include calls that
// faults applied to and calls that are still being served. They do not include
// calls that the SDK did not send because of an invalid input. Each attempt of
// a client that retries is a call.
func (k *KMS) Requests() []Request {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Request
	for _, q := range k.seen.requests {
		all = append(all, *q)
	}
	return all
}

// Calls returns the number of calls of an operation, or of all operations if
// operation is empty. It counts the same calls as [KMS.Requests], without its
// limit.
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
