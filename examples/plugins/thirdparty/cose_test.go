package thirdparty_test

import (
	"crypto"
	"crypto/rand"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/veraison/go-cose"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// signCOSE returns a COSE_Sign1 message (RFC 9052). The algorithm must be the one
// of the key: ES256 for P-256, ES384 for P-384, ES512 for P-521, EdDSA for
// Ed25519, and PS256, PS384 or PS512 for RSA.
func signCOSE(signer crypto.Signer, alg cose.Algorithm, payload []byte) ([]byte, error) {
	coseSigner, err := cose.NewSigner(alg, signer)
	if err != nil {
		return nil, err
	}
	headers := cose.Headers{Protected: cose.ProtectedHeader{cose.HeaderLabelAlgorithm: alg}}
	return cose.Sign1(rand.Reader, coseSigner, headers, payload, nil)
}

// A COSE message that is signed with a key in KMS. go-cose needs no glue.
func Example_cose() {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	data, err := signCOSE(signer, cose.AlgorithmES256, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}

	var message cose.Sign1Message
	if err := message.UnmarshalCBOR(data); err != nil {
		log.Fatal(err)
	}
	verifier, err := cose.NewVerifier(cose.AlgorithmES256, signer.Public())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(message.Verify(nil, verifier))
	// Output: <nil>
}
