package kmstest

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// key is a KMS key in one Region.
type key struct {
	id       string
	arn      string
	keySpec  types.KeySpec
	spec     spec
	usage    types.KeyUsageType
	material material
	created  time.Time
	multi    *multiRegion // nil for a single-Region key
	origin   types.OriginType

	// The fields below may change. KMS.mu guards them.
	tags     map[string]string // never modified, only replaced
	state    types.KeyState
	deletion time.Time // date of the deletion, in the state PendingDeletion
	window   int32     // waiting period in days, if the deletion is scheduled
	details
}
