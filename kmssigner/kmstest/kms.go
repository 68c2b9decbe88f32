// Package kmstest is a fake of AWS KMS for tests of code that signs with KMS.
//
// It makes real keys and real signatures, and it refuses what KMS refuses, with
// KMS's error codes and texts: messages that are empty or over 4096 bytes,
// digests of another length than the algorithm's, algorithms that are not the
// key's, keys that are disabled or pending deletion, aliases that do not exist,
// ARNs of another Region. It comes in two forms that share every line of their
// behaviour:
//
//   - [KMS], made by [New], is a value whose methods have the shape of those of
//     [kms.Client]. They go through the SDK's own client with the network
//     replaced by a function call, so inputs are checked, errors are wrapped,
//     contexts are honoured and per-call options apply as in production. Only
//     retries are off: one call is one attempt.
//   - [Server], made by [NewServer], speaks KMS's protocol on loopback HTTP, for
//     code that needs a real *kms.Client or an aws.Config and for programs in
//     other languages, and checks the Signature Version 4 of every request.
//
// Nothing here is safe for anything but tests: the primes of the RSA keys can be
// read in this package's source.
//
// # Faults
//
// [KMS.Inject] makes chosen calls go wrong, on either form: errors, throttling,
// latency, connections that hang or break, answers that are cut, empty or not
// JSON, and answers that are well-formed and wrong, such as a signature by
// another key. [KMS.Requests] and [KMS.Calls] tell what was asked.
//
// # Regions
//
// A KMS is one account in one Region. [KMS.Region] is the same account elsewhere,
// where ReplicateKey puts replicas of multi-Region keys. To kill a Region, inject
// [Reset] into every call, or close its Server.
//
// # Where it is from
//
// Codes, texts and the order of checks follow recordings of the service where
// there are any, and AWS's documentation and service model elsewhere. An
// operation first checks the form of the request, then finds the key, then
// checks the key's usage, its state, the algorithm, the message type and the
// length of the message, then the signature if it verifies one, and at last
// whether this is a dry run. Where recordings and documentation differ, the
// recordings win and [Options] has the other behaviour. What is neither recorded
// nor documented is said to be so beside it.
//
// # What it does not imitate
//
// IAM and key policies, and grants (grant tokens are checked for form, then
// ignored); request quotas, latency and prices, other than by Inject; eventual
// consistency (a change is seen at once); CloudTrail; custom key stores; the import
// of key material (a key of origin EXTERNAL is pending import for ever); the
// passing of time (a key that is pending deletion stays so). Operations outside the
// methods of [KMS] answer UnknownOperationException; so keys for encryption, key
// agreement and key encapsulation can be made and looked at, but not used. SM2 keys
// do not sign either.
//
// A KMS and a Server are safe for concurrent use.
package kmstest

import (
	"crypto/rand"
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Options adjust a [KMS]. The zero value works.
type Options struct {
	// Region is the one Region that the fake serves; [KMS.Region] makes
	// others. Empty means us-east-1.
	Region string

	// AccountID is the twelve-digit account that owns its keys and makes its
	// calls. Empty means 111122223333.
	AccountID string

	// Partition is the second part of every ARN. Empty means the partition
	// that Region belongs to: aws, aws-cn, aws-us-gov and so on.
	Partition string

	// Credentials are the only ones a [Server] accepts. When they have a
	// SessionToken, requests must carry it; when they have expired, requests
	// fail. An empty AccessKeyID means a fixed key pair without a token;
	// [Server.Config] hands out either.
	Credentials aws.Credentials

	// DisabledHidesPublicKey makes GetPublicKey refuse a disabled key with
	// DisabledException. The developer guide of 2022 documents that;
	// recordings of the service made in 2026 show that the call succeeds,
	// and so it does here by default.
	DisabledHidesPublicKey bool
}

// KMS is a fake of KMS in one account and one Region. Make it with [New]. It is
// an [http.Handler] too, of KMS's protocol.
type KMS struct {
	opts   Options
	client *kms.Client // reaches this KMS without a network

	*account
	// mu, which is the account's, guards what follows, the keys' contents included.
	keys    map[string]*key   // by key id
	aliases map[string]*alias // by name, "alias/" included
	faults  []*fault          // in the order of Inject
	seen    record
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// New returns an empty KMS. It panics if AccountID is not twelve digits.
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
		panic(fmt.Sprintf("kmstest: AccountID %q is not twelve digits", o.AccountID))
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

// newKMS adds a Region to an account. The caller holds its mu, or nobody else
// knows the account yet.
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

// AddKey makes an enabled key and returns its key id (not its ARN). The key's
// usage is SIGN_VERIFY where the spec allows that, and otherwise the only one it
// allows: GENERATE_VERIFY_MAC for HMAC keys, say. CreateKey makes the others. AddKey
// panics on a spec that KMS does not have, SM2 outside the China Regions included.
func (k *KMS) AddKey(spec types.KeySpec) string {
	s, ok := specs[spec]
	if !ok {
		panic(fmt.Sprintf("kmstest: AddKey cannot make a key of spec %q", spec))
	}
	md, err := k.addKey(&kms.CreateKeyInput{KeySpec: spec, KeyUsage: s.usages[0]})
	if err != nil {
		panic(fmt.Sprintf("kmstest: AddKey(%q): %v", spec, err))
	}
	return aws.ToString(md.KeyId)
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
