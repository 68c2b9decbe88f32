package kmstest

import "time"

// details are the parts of a key that its owner sets besides its state and its
// tags. They are plain data, so that they can be stored. KMS.mu guards them.
type details struct {
	Description string
	Policy      string // the key policy, as GetKeyPolicy answers it
	Rotation    rotation
	Grants      []grant // in the order of their creation
	Import      importing
}

// rotation is the automatic rotation of a symmetric encryption key.
type rotation struct {
	Days  int32     // from one rotation to the next, or 0 if it is disabled
	Since time.Time // when it was enabled
}
