package jwtkms

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

var registering sync.Mutex

// Register makes golang-jwt's parser know algorithms that it lacks: ES256K, Ed25519,
// ML-DSA-44, ML-DSA-65 and ML-DSA-87, or, of these, only the methods given. The registry
// is golang-jwt's own and one for the whole process, so this is for package main to
// call, once or more often. Signing needs no registration, and what golang-jwt has
// stays its own.
//
// If one of the names is registered to another method already, Register changes
// nothing and returns an error that names it: register the others alone.
func Register(methods ...*SigningMethod) error {
	registering.Lock()
	defer registering.Unlock()
	if len(methods) == 0 {
		methods = missing
	}
	var errs []error
	for _, m := range methods {
		if other := jwt.GetSigningMethod(m.alg); other != nil && other != jwt.SigningMethod(m) {
			errs = append(errs, fmt.Errorf("jwtkms: %s is registered to a %T already", m.alg, other))
		} else if !slices.Contains(missing, m) {
			errs = append(errs, fmt.Errorf("jwtkms: %s is not one that golang-jwt lacks", m.alg))
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
