package jwtkms_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// Each key spec has its methods. Sign takes the signing input of a JWS and
// returns the signature as it is in a token.
func ExampleSigningMethod_Sign() {
	ctx := context.Background()
	fake := kmstest.New()
	for _, example := range []struct {
		spec    types.KeySpec
		methods []*jwtkms.SigningMethod
	}{
		{types.KeySpecEccNistP256, []*jwtkms.SigningMethod{jwtkms.ES256}},
		{types.KeySpecEccNistP384, []*jwtkms.SigningMethod{jwtkms.ES384}},
		{types.KeySpecEccNistP521, []*jwtkms.SigningMethod{jwtkms.ES512}},
		{types.KeySpecEccSecgP256k1, []*jwtkms.SigningMethod{jwtkms.ES256K}},
		{types.KeySpecRsa2048, []*jwtkms.SigningMethod{jwtkms.RS256, jwtkms.RS384, jwtkms.RS512}},
		{types.KeySpecRsa3072, []*jwtkms.SigningMethod{jwtkms.PS256, jwtkms.PS384, jwtkms.PS512}},
		{types.KeySpecEccNistEdwards25519, []*jwtkms.SigningMethod{jwtkms.EdDSA, jwtkms.Ed25519}},
		{types.KeySpecMlDsa44, []*jwtkms.SigningMethod{jwtkms.MLDSA44}},
		{types.KeySpecMlDsa65, []*jwtkms.SigningMethod{jwtkms.MLDSA65}},
		{types.KeySpecMlDsa87, []*jwtkms.SigningMethod{jwtkms.MLDSA87}},
	} {
		signer, err := kmssigner.New(ctx, fake, fake.AddKey(example.spec))
		if err != nil {
			log.Fatal(err)
		}
		for _, method := range example.methods {
			sig, err := method.Sign("header.claims", signer)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(method.Alg(), len(sig), method.Verify("header.claims", sig, signer.Public()))
		}
	}
	// Output:
	// ES256 64 <nil>
	// ES384 96 <nil>
	// ES512 132 <nil>
	// ES256K 64 <nil>
	// RS256 256 <nil>
	// RS384 256 <nil>
	// RS512 256 <nil>
	// PS256 384 <nil>
	// PS384 384 <nil>
	// PS512 384 <nil>
	// EdDSA 64 <nil>
	// Ed25519 64 <nil>
	// ML-DSA-44 2420 <nil>
	// ML-DSA-65 3309 <nil>
	// ML-DSA-87 4627 <nil>
}

// HS256, HS384 and HS512 take a MAC. ErrNotChecked tells an outage from a
// forgery.
func ExampleMAC_outage() {
	ctx := context.Background()
	fake := kmstest.New()
	for spec, method := range map[types.KeySpec]*jwtkms.SigningMethod{
		types.KeySpecHmac256: jwtkms.HS256,
		types.KeySpecHmac384: jwtkms.HS384,
		types.KeySpecHmac512: jwtkms.HS512,
	} {
		mac, err := kmssigner.NewHMAC(ctx, fake, fake.AddKey(spec))
		if err != nil {
			log.Fatal(err)
		}
		compact, err := jwt.New(method).SignedString(mac)
		if err != nil {
			log.Fatal(err)
		}
		fake.Inject(kmstest.Match{Operation: "VerifyMac", Times: 1}, kmstest.Throttle())
		_, err = jwt.Parse(compact, method.Keyfunc(mac))
		fmt.Println(errors.Is(err, jwtkms.ErrNotChecked))
		_, err = jwt.Parse(compact, method.Keyfunc(mac))
		fmt.Println(err)
	}
	// Output:
	// true
	// <nil>
	// true
	// <nil>
	// true
	// <nil>
}

// A JWKS endpoint serves the JWKs of the keys that sign. Package keyring does so
// for keys that change.
func ExampleSigningMethod_JWK() {
	fake := kmstest.New()
	signer, err := kmssigner.New(context.Background(), fake, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		log.Fatal(err)
	}
	jwk, err := jwtkms.ES256.JWK(signer)
	if err != nil {
		log.Fatal(err)
	}
	text, err := json.Marshal(jwtkms.JWKSet{Keys: []jwtkms.JWK{jwk}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(json.Valid(text), jwk.Kty, jwk.Crv, jwk.Alg, jwk.Use, len(jwk.Kid))
	// Output: true EC P-256 ES256 sig 43
}
