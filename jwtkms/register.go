package jwtkms

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// registering makes the check and the registration in [Register] one step.
var registering sync.Mutex

// Register registers methods with golang-jwt, so that its parser can verify
// their tokens. The methods may be [ES256K], [Ed25519], [MLDSA44], [MLDSA65]
// and [MLDSA87], which golang-jwt lacks. Without arguments Register registers
// all five. Signing needs no registration.
//
// golang-jwt's registry is global to the process, so Register is for package
// main to call. It may be called more than once and from several goroutines.
//
// If the name of a method is already registered to another method, or
// golang-jwt has its own, Register registers nothing and returns an error that
// names all such methods. Call Register again with only the other methods to
// register those.
func Register(methods ...*SigningMethod) error {
	registering.Lock()
	defer registering.Unlock()
	if len(methods) == 0 {
		methods = missing
	}
	var errs []error
	for _, m := range methods {
		if m.isZero() {
			errs = append(errs, errNoMethod)
		} else if other := jwt.GetSigningMethod(m.alg); other != nil && other != jwt.SigningMethod(m) {
			errs = append(errs, fmt.Errorf("jwtkms: %s is already registered to a %T", m.alg, other))
		} else if !slices.Contains(missing, m) {
			errs = append(errs, fmt.Errorf("jwtkms: golang-jwt has its own %s", m.alg))
		}
	}
	if errs != nil {
		return errors.Join(errs...)
	}
	for _, m := range methods {
		jwt.RegisterSigningMethod(m.alg, func() jwt.SigningMethod { return m })
	}
	return nil
}
