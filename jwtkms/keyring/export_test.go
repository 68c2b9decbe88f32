package keyring

import "time"

// NoJitter makes Run refresh at equal intervals. It is called before Run.
func (r *Ring) NoJitter() { r.jitter = func(time.Duration) time.Duration { return 0 } }
