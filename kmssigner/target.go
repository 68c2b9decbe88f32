package kmssigner

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/kmssign/kmssign/internal/answerlimit"
)

// callOptions are the options of every call to KMS. Its fields are those of
// [HMACOptions].
type callOptions struct {
	GrantTokens   []string
	Timeout       time.Duration
	KeepAlias     bool
	ClientOptions []func(*kms.Options)
}

// A target is the key that requests are for. [Signer] and [HMAC] have one each.
type target struct {
	callOptions
	client    any
	givenID   string // the key ID that the caller gave to New or NewHMAC
	arn       string // of the pinned key
	requestID string // the KeyId of requests: arn, or givenID with KeepAlias
	timedOut  error  // the cause of a deadline that Timeout set
}

// checkArguments returns an error if a call with client and keyID could not
// succeed.
func checkArguments(client any, keyID string) error {
	if v := reflect.ValueOf(client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("client is nil")
	}
	const want = "want a key ID, key ARN, alias name or alias ARN"
	if keyID == "" {
		return errors.New("key ID is empty, " + want)
	}
	if strings.HasPrefix(keyID, "awskms:") {
		return errors.New("key ID is a URI as other tools write it, " + want + `, without "awskms:" and the slashes and host after it`)
	}
	return nil
}

func newTarget(client any, keyID string, opts callOptions) target {
	// Copy the slices, so that later changes by the caller have no effect. Clip
	// them, so that appends by concurrent callers do not share memory.
	opts.GrantTokens = slices.Clip(slices.Clone(opts.GrantTokens))
	opts.ClientOptions = slices.Clip(append([]func(*kms.Options){answerlimit.Option}, opts.ClientOptions...))
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	return target{
		callOptions: opts,
		client:      client,
		givenID:     keyID,
		timedOut:    fmt.Errorf("no answer within Options.Timeout, %v", opts.Timeout),
	}
}

// maxKeyID is the length in bytes of the longest key ID or ARN in KMS's service
// model.
const maxKeyID = 2048

// pin makes the key that KMS answered with the key of all requests.
func (t *target) pin(answered string) error {
	switch {
	case len(answered) > maxKeyID:
		return fmt.Errorf("KMS answered for a key with a name of %d bytes, want a key ARN of at most %d", len(answered), maxKeyID)
	case answered == "" || isAlias(answered):
		return fmt.Errorf("KMS answered for the key %q, want a key ARN", answered)
	case !isAlias(t.givenID) && !sameKey(t.givenID, answered):
		return fmt.Errorf("%w: KMS answered for %q", ErrKeyChanged, answered)
	}
	t.arn = answered
	if arn.IsARN(t.givenID) && !isAlias(t.givenID) {
		t.arn = t.givenID // The answer of an emulator may be the bare key ID.
	}
	t.requestID = t.arn
	if t.KeepAlias {
		t.requestID = t.givenID
	}
	return nil
}

// An answer is what the answers of Sign, GenerateMac and VerifyMac have in
// common.
type answer struct {
	empty     bool // the signature or MAC is missing
	keyID     *string
	algorithm string
	metadata  middleware.Metadata
}

// errNoAnswer is returned for a client that returned two nil values.
var errNoAnswer = fmt.Errorf("%w: the client answered with neither an output nor an error", ErrBadSignature)

// checkAnswer returns an error unless a is complete, by the pinned key and by
// algorithm. Even an empty answer must be expected, because the SDK reports an
// empty body with status 200 as a success.
func (t *target) checkAnswer(a answer, algorithm string) error {
	switch keyID := aws.ToString(a.keyID); {
	case a.empty:
		return answerError(ErrBadSignature, a.metadata, "it is empty")
	case keyID == "":
		return answerError(ErrBadSignature, a.metadata, "KMS does not say which key it used")
	case !sameKey(t.arn, keyID):
		return answerError(ErrKeyChanged, a.metadata, "KMS used the key %q", keyID)
	case a.algorithm != algorithm:
		return answerError(ErrBadSignature, a.metadata, "it is by the algorithm %q, want %q", a.algorithm, algorithm)
	}
	return nil
}

// addRegion returns err, an error that KMS answered with. If KMS did not find
// the key because its ARN names another Region than the client's, addRegion
// adds that Region. KMS says only "Invalid arn".
func (t *target) addRegion(err error) error {
	if _, ok := errors.AsType[*types.NotFoundException](err); !ok {
		return err
	}
	client, ok := t.client.(interface{ Options() kms.Options })
	if !ok {
		return err
	}
	o := client.Options()
	for _, fn := range t.ClientOptions {
		fn(&o)
	}
	key, notARN := arn.Parse(t.givenID)
	if notARN != nil || key.Region == o.Region {
		return err
	}
	return fmt.Errorf("%w (the key is in Region %s, the client is for %s)", err, key.Region, o.Region)
}

// sameKey reports whether the KeyId in an answer names the key that was asked
// for by its key ID or ARN. KMS answers with a key ARN. Some emulators answer
// with a bare key ID, and then only that part is compared.
func sameKey(asked, answered string) bool {
	if arn.IsARN(asked) && arn.IsARN(answered) {
		return asked == answered
	}
	return bareKeyID(asked) == bareKeyID(answered)
}

// bareKeyID returns the key ID within a key ARN, or id itself.
func bareKeyID(id string) string {
	if _, after, ok := strings.Cut(id, ":key/"); ok {
		return after
	}
	return id
}

// isFullKeyARN reports whether id is a key ARN with all of its parts.
func isFullKeyARN(id string) bool {
	parsed, err := arn.Parse(id)
	keyID, isKey := strings.CutPrefix(parsed.Resource, "key/")
	return err == nil && parsed.Partition != "" && parsed.Service == "kms" && parsed.Region != "" && parsed.AccountID != "" &&
		isKey && keyID != "" && !strings.Contains(keyID, "/")
}

// isAlias reports whether id is an alias name or an alias ARN.
func isAlias(id string) bool {
	return strings.HasPrefix(id, "alias/") || strings.Contains(id, ":alias/")
}
