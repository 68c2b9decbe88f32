package kmstest

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// key is one KMS key.
type key struct {
	id          string
	arn         string
	keySpec     types.KeySpec
	spec        spec
	usage       types.KeyUsageType
	material    material
	created     time.Time
	description string
	multi       *multiRegion // nil for a key of one Region
	origin      types.OriginType

	// What follows changes after the key's creation.
	tags     map[string]string // replaced as a whole
	state    types.KeyState
	deletion time.Time // when the state is PendingDeletion
	window   int32     // days, when the deletion is scheduled
}
