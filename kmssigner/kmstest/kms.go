// Package kmstest implements a fake of AWS KMS, for tests of code that signs
// with KMS.
//
// The fake makes real keys and real signatures. It refuses what KMS refuses,
// with the error codes and texts of KMS: an empty message, a message of over
// 4096 bytes, a digest whose length is not that of the algorithm, an algorithm
// that the key does not have, a key that is disabled or pending deletion, an
// alias that does not exist, an ARN of another Region. It comes in two forms,
// which behave alike:
//
//   - [KMS], returned by [New], is a value that has the methods of
//     [kms.Client]. They go through the client of the SDK, with a function call
//     in place of the network, so inputs are checked, errors are wrapped,
//     contexts are honored, and per-call options apply as in production. The
//     client does not retry: one call is one attempt.
//   - [Server], returned by [NewServer], speaks the protocol of KMS over HTTP
//     on the loopback interface, for code that needs a *kms.Client or an
//     aws.Config and for programs in other languages. It verifies the Signature
//     Version 4 of every request.
//
// Use the package in tests and for development only. Anyone can compute the RSA
// private keys of the fake from the source of this package.
//
// # Faults
//
// [KMS.Inject] makes selected calls fail, in both forms. It injects errors,
// throttling, latency, connections that hang or break, answers that are
// truncated, empty or not JSON, and answers that are well-formed but wrong,
// such as a signature by another key. [KMS.Requests] and [KMS.Calls] report the
// calls that the fake has received.
//
// # Regions
//
// A KMS is one account in one Region. [KMS.Region] returns the same account in
// another Region, where ReplicateKey puts the replicas of multi-Region keys. A
// Server serves all Regions of the account: a request goes to the Region that
// its signature names. To make a Region fail, inject [Reset] into every call of
// its KMS.
//
// # Given keys and state
//
// [KMS.AddPrivateKey] adds a key of given material under a given key ID, so
// that a JWKS stays the same. [Open] returns a KMS that keeps its state in a
// file.
//
// # Sources
//
// Error codes, texts and the order of checks follow public recordings of KMS.
// Where there is no recording, they follow the documentation and the service
// model of AWS. In the source, unrecorded marks the answers that no recording
// shows. Where the recordings and the documentation differ, the fake follows
// the recordings, and a field of [Options] selects the documented behavior. A
// test compares the fake with the recordings, row by row.
//
// An operation checks the form of the request before it looks up the key. A
// cryptographic operation then checks the usage of the key, its state, the
// algorithm, the message type, the length of the message, the signature if it
// verifies one, and last whether the call is a dry run.
//
// # Limitations
//
// The fake does not imitate:
//
//   - IAM. Key policies and grants are stored and returned, but they authorize
//     nothing and deny nothing. The form of grant tokens is checked, and then
//     they are ignored. A policy can name principals that do not exist.
//   - Request quotas, latency and prices. Inject imitates the first two.
//   - Eventual consistency. A change is visible at once, and a key is never in
//     the states Creating and Updating.
//   - CloudTrail and custom key stores.
//   - The import of RSA keys, and of key material that is wrapped with another
//     algorithm than RSAES_OAEP. Imported key material never expires.
//   - The passage of time. A key in the state PendingDeletion is never deleted,
//     and a symmetric encryption key is never rotated.
//   - Encryption, key agreement and key encapsulation. Keys for them can be
//     created and described but not used.
//   - Rotation on demand, the list of rotations and the last use of a key.
//   - Quotas, except for the number of aliases and of grants of a key.
//   - Signatures by SM2 keys.
//   - Verify with EXTERNAL_MU, except for the last 10,000 signatures that the
//     ML-DSA key made since the process started. Verify treats other signatures
//     of a mu as invalid.
//
// An operation for which the type KMS has no method fails with
// UnknownOperationException.
//
// # Concurrency
//
// A KMS and a Server are safe for concurrent use.
package kmstest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Options configures a [KMS]. The zero value is valid.
type Options struct {
	// Region is the Region that the fake serves. If empty, it is us-east-1.
	// [KMS.Region] returns the fakes of other Regions.
	Region string

	// AccountID is the twelve-digit ID of the account that owns the keys and
	// makes the calls. If empty, it is 111122223333.
	AccountID string

	// Partition is the second part of every ARN, such as aws or aws-cn. If
	// empty, it is the partition of Region.
	Partition string

	// Credentials are the only credentials that a [Server] accepts. If they
	// have a SessionToken, requests must carry it. If they have expired,
	// requests fail. If the AccessKeyID is empty, the fake uses a fixed key
	// pair without a session token. [Server.Config] returns the credentials.
	Credentials aws.Credentials

	// AnyCredentials makes a [Server] accept requests that are signed with any
	// credentials. It does not verify their signatures then, but it refuses
	// requests that are not signed, or that are signed for another service or
	// more than five minutes before or after the time of the server.
	AnyCredentials bool

	// DisabledHidesPublicKey makes GetPublicKey return DisabledException for a
	// disabled key, as the developer guide of 2022 documents. By default the
	// call succeeds, as in recordings of 2026.
	DisabledHidesPublicKey bool
}

// KMS is a fake of KMS in one account and one Region. It is returned by [New]
// and [Open].
// It is also an [http.Handler] that serves the protocol of KMS.
//
// A KMS is safe for concurrent use.
type KMS struct {
	opts   Options
	client *kms.Client // calls this KMS through inMemory

	*account
	// The mu of account guards the fields below and the fields of the keys.
	keys    map[string]*key   // by key id
	aliases map[string]*alias // by name, with the prefix "alias/"
	faults  []*fault          // in the order of the calls of Inject
	seen    record
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// New returns a KMS without keys. It panics if Options.AccountID is not twelve
// digits.
func New(optFns ...func(*Options)) *KMS {
	var o Options
	for _, fn := range optFns {
		fn(&o)
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.AccountID == "" {
		o.AccountID = "111122223333"
	}
	if !accountID.MatchString(o.AccountID) {
		panic(fmt.Sprintf("kmstest: AccountID is %q, want twelve digits", o.AccountID))
	}
	if o.Partition == "" {
		o.Partition, _ = partitionOf(o.Region)
	}
	if o.Credentials.AccessKeyID == "" {
		o.Credentials = aws.Credentials{
			AccessKeyID:     "AKIDKMSTESTKMSTEST00",
			SecretAccessKey: "kmstest/not/a/secret",
			Source:          "kmstest",
		}
	}
	return newKMS(o, &account{regions: map[string]*KMS{}})
}

// newKMS adds a Region to an account. The caller must hold the account's mu,
// unless the account is new.
func newKMS(o Options, a *account) *KMS {
	k := &KMS{opts: o, account: a, keys: map[string]*key{}, aliases: map[string]*alias{}}
	a.regions[o.Region] = k
	k.client = kms.New(kms.Options{
		Region:      o.Region,
		Credentials: aws.AnonymousCredentials{},
		Retryer:     aws.NopRetryer{},
		HTTPClient:  inMemory{k},
	})
	return k
}

// sdk returns the client that reaches k. That of a nil or zero KMS fails.
func (k *KMS) sdk() *kms.Client {
	if k == nil || k.client == nil {
		return unmade
	}
	return k.client
}

var unmade = kms.New(kms.Options{
	Region:      "us-east-1",
	Credentials: aws.AnonymousCredentials{},
	Retryer:     aws.NopRetryer{},
	HTTPClient:  unmadeKMS{},
})

type unmadeKMS struct{}

func (unmadeKMS) Do(*http.Request) (*http.Response, error) {
	return nil, errors.New("kmstest: the KMS is nil or zero, want one made by New or Open")
}

// AddKey creates an enabled key and returns its key ID, which is not an ARN.
// The usage of the key is SIGN_VERIFY if the spec allows it, and otherwise the
// only usage that the spec allows, such as GENERATE_VERIFY_MAC for an HMAC key.
// For other usages, call CreateKey. AddKey panics if spec is not a key spec of
// KMS, if it is SM2 outside the China Regions, or if the state file of [Open]
// cannot be written. The call is not recorded, and faults do not apply to it.
// [KMS.AddPrivateKey] adds a key of given material.
func (k *KMS) AddKey(spec types.KeySpec) string {
	s, ok := specs[spec]
	if !ok {
		panic(fmt.Sprintf("kmstest: AddKey: unknown key spec %q", spec))
	}
	out, err := k.durably("AddKey", func() (any, error) {
		return k.addKey(&kms.CreateKeyInput{KeySpec: spec, KeyUsage: s.usages[0]})
	})
	if err != nil {
		panic(fmt.Sprintf("kmstest: AddKey(%q): %v", spec, err))
	}
	return aws.ToString(out.(*types.KeyMetadata).KeyId)
}

// arn returns the ARN of a resource of this account and Region.
func (k *KMS) arn(resource string) string {
	return fmt.Sprintf("arn:%s:kms:%s:%s:%s", k.opts.Partition, k.opts.Region, k.opts.AccountID, resource)
}

// newUUID returns a random (version 4) UUID.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
