package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms"
)

// Algorithm is a JWT algorithm and a KMS key that signs with it.
type Algorithm struct {
	Method *jwtkms.SigningMethod
	Spec   types.KeySpec
}

// Algorithms are the choices of a flag -alg. The first is the default.
type Algorithms []Algorithm

// Signatures are the algorithms of the keys that a crypto.Signer has.
var Signatures = Algorithms{
	{jwtkms.ES256, types.KeySpecEccNistP256},
	{jwtkms.ES384, types.KeySpecEccNistP384},
	{jwtkms.ES512, types.KeySpecEccNistP521},
	{jwtkms.ES256K, types.KeySpecEccSecgP256k1},
	{jwtkms.RS256, types.KeySpecRsa2048},
	{jwtkms.RS384, types.KeySpecRsa2048},
	{jwtkms.RS512, types.KeySpecRsa2048},
	{jwtkms.PS256, types.KeySpecRsa2048},
	{jwtkms.PS384, types.KeySpecRsa2048},
	{jwtkms.PS512, types.KeySpecRsa2048},
	{jwtkms.EdDSA, types.KeySpecEccNistEdwards25519},
	{jwtkms.Ed25519, types.KeySpecEccNistEdwards25519},
	{jwtkms.MLDSA44, types.KeySpecMlDsa44},
	{jwtkms.MLDSA65, types.KeySpecMlDsa65},
	{jwtkms.MLDSA87, types.KeySpecMlDsa87},
}

// SignaturesAndMACs are the Signatures and the algorithms of HMAC keys.
var SignaturesAndMACs = slices.Concat(Signatures, Algorithms{
	{jwtkms.HS256, types.KeySpecHmac256},
	{jwtkms.HS384, types.KeySpecHmac384},
	{jwtkms.HS512, types.KeySpecHmac512},
})

// String lists the names.
func (a Algorithms) String() string {
	var names []string
	for _, alg := range a {
		names = append(names, alg.Method.Alg())
	}
	return strings.Join(names, ", ")
}

// Parse returns the algorithm that the value of -alg names, or nil for an empty
// value, which leaves the choice to the key.
func (a Algorithms) Parse(name string) (*jwtkms.SigningMethod, error) {
	if name == "" {
		return nil, nil
	}
	for _, alg := range a {
		if alg.Method.Alg() == name {
			return alg.Method, nil
		}
	}
	return nil, fmt.Errorf("unknown -alg %q, want one of %s", name, a)
}

// SpecFor returns the key that a program without -key makes for the method, of
// which nil is the default.
func (a Algorithms) SpecFor(method *jwtkms.SigningMethod) types.KeySpec {
	for _, alg := range a {
		if alg.Method == method {
			return alg.Spec
		}
	}
	return a[0].Spec
}
