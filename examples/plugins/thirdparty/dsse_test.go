package thirdparty_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
	"github.com/kmssign/kmssign/kmssigner"
)

// dsseSigner signs DSSE envelopes, as in-toto and SLSA have them. ECDSA keys sign
// with the hash of their curve, RSA keys with PSS, as securesystemslib wants them.
type dsseSigner struct{ signer *kmssigner.Signer }

func (s dsseSigner) Sign(ctx context.Context, data []byte) ([]byte, error) {
	var opts crypto.SignerOpts = s.signer
	if _, ok := s.signer.Public().(*rsa.PublicKey); ok {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	return s.signer.WithContext(ctx).SignMessage(nil, data, opts)
}

func (s dsseSigner) KeyID() (string, error) { return dsse.SHA256KeyID(s.signer.Public()) }

// An attestation that is signed with a key in KMS.
func Example_dsse() {
	ctx, signer := context.Background(), fake.NewSigner(types.KeySpecEccNistP384)
	envelopes, err := dsse.NewEnvelopeSigner(dsseSigner{signer})
	if err != nil {
		log.Fatal(err)
	}
	envelope, err := envelopes.SignPayload(ctx, "application/vnd.in-toto+json", []byte(`{"_type":"..."}`))
	if err != nil {
		log.Fatal(err)
	}

	verifier, err := newDSSEVerifier(signer.Public())
	if err != nil {
		log.Fatal(err)
	}
	accepted, err := verifier.Verify(ctx, envelope)
	fmt.Println(len(accepted), err)
	// Output: 1 <nil>
}
