package multiregion

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/kmssigner"
)

// An operation is what all calls of one KMS operation have in common.
type operation[Out any] struct {
	name    string
	keyID   func(*Out) **string // where an answer names the key; nil if it does not
	missing func(*Out) string   // a member that KMS always sends and the answer lacks, or ""
	invalid error               // wrapped by the error about a missing member; may be nil
	forMACs bool
}

// A request is one call of an operation, which a Region is to answer.
type request[Out any] struct {
	operation[Out]
	key keyName

	// send calls KMS in a Region. It must not read what the caller may change
	// after its call has returned.
	send func(ctx context.Context, r *region, keyID *string) (*Out, error)

	// check, if not nil, reports what is wrong with an answer.
	check func(*Out) error
}

// prepare returns a request without send and check.
func prepare[Out any](c *Client, op operation[Out], keyID *string) (*request[Out], error) {
	key, err := c.parse(keyID)
	if err != nil {
		return nil, fmt.Errorf("multiregion: %s with %q: %w", op.name, aws.ToString(keyID), err)
	}
	return &request[Out]{operation: op, key: key}, nil
}

// read checks an answer of r and returns it as the caller knows the key.
func (req *request[Out]) read(r *region, out *Out) (*Out, error) {
	if out == nil {
		return nil, &malformedError{req.invalid, "the client returned neither an output nor an error"}
	}
	own := *out // the client may have kept the original
	if member := req.missing(&own); member != "" {
		return nil, &malformedError{req.invalid, "the answer has no " + member}
	}
	if req.keyID == nil {
		return &own, nil
	}
	id := req.keyID(&own)
	var err error
	*id, err = req.key.home(r, *id)
	return &own, err
}

var signing = operation[kms.SignOutput]{
	name:  "Sign",
	keyID: func(out *kms.SignOutput) **string { return &out.KeyId },
	missing: func(out *kms.SignOutput) string {
		switch {
		case len(out.Signature) == 0:
			return "Signature"
		case aws.ToString(out.KeyId) == "":
			return "KeyId"
		case out.SigningAlgorithm == "":
			return "SigningAlgorithm"
		}
		return ""
	},
	invalid: kmssigner.ErrBadSignature,
}

var generatingMAC = operation[kms.GenerateMacOutput]{
	name:  "GenerateMac",
	keyID: func(out *kms.GenerateMacOutput) **string { return &out.KeyId },
	missing: func(out *kms.GenerateMacOutput) string {
		switch {
		case len(out.Mac) == 0:
			return "Mac"
		case aws.ToString(out.KeyId) == "":
			return "KeyId"
		case out.MacAlgorithm == "":
			return "MacAlgorithm"
		}
		return ""
	},
	invalid: kmssigner.ErrBadSignature,
	forMACs: true,
}

var verifyingMAC = operation[kms.VerifyMacOutput]{
	name:  "VerifyMac",
	keyID: func(out *kms.VerifyMacOutput) **string { return &out.KeyId },
	missing: func(out *kms.VerifyMacOutput) string {
		switch {
		case aws.ToString(out.KeyId) == "":
			return "KeyId"
		case out.MacAlgorithm == "":
			return "MacAlgorithm"
		}
		return ""
	},
	invalid: kmssigner.ErrBadSignature,
	forMACs: true,
}

var describingKey = operation[kms.DescribeKeyOutput]{
	name: "DescribeKey",
	keyID: func(out *kms.DescribeKeyOutput) **string {
		metadata := *out.KeyMetadata // the client may have kept the original
		out.KeyMetadata = &metadata
		return &metadata.Arn
	},
	missing: func(out *kms.DescribeKeyOutput) string {
		switch {
		case out.KeyMetadata == nil:
			return "KeyMetadata"
		case aws.ToString(out.KeyMetadata.Arn) == "":
			return "KeyMetadata.Arn"
		}
		return ""
	},
	forMACs: true,
}

var gettingPublicKey = operation[kms.GetPublicKeyOutput]{
	name:  "GetPublicKey",
	keyID: func(out *kms.GetPublicKeyOutput) **string { return &out.KeyId },
	missing: func(out *kms.GetPublicKeyOutput) string {
		switch {
		case len(out.PublicKey) == 0:
			return "PublicKey"
		case aws.ToString(out.KeyId) == "":
			return "KeyId"
		}
		return ""
	},
}

// A malformedError reports an answer that is a success and yet not KMS's.
type malformedError struct {
	kind error // may be nil
	text string
}

func (e *malformedError) Error() string {
	if e.kind != nil {
		return fmt.Sprintf("%v: %s", e.kind, e.text)
	}
	return e.text
}

func (e *malformedError) Unwrap() error { return e.kind }

func isMalformed(err error) bool {
	_, ok := errors.AsType[*malformedError](err)
	return ok
}
