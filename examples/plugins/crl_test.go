package plugins_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log"
	"math/big"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// newCRL returns a list of the certificates that a CA has revoked, valid for a
// week. Number must be greater in each list than in the one before.
func newCRL(signer crypto.Signer, ca *x509.Certificate, number int64, serials ...*big.Int) ([]byte, error) {
	list := &x509.RevocationList{
		Number:     big.NewInt(number),
		ThisUpdate: time.Now(),
		NextUpdate: time.Now().AddDate(0, 0, 7),
	}
	for _, serial := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now()})
	}
	return x509.CreateRevocationList(rand.Reader, list, ca, signer)
}

// A CA with its key in KMS revokes a certificate. See the recipe of the CA for
// newCA.
func Example_revocationList() {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	ca, err := newCA(signer, "Example CA")
	if err != nil {
		log.Fatal(err)
	}
	der, err := newCRL(signer, ca, 1, big.NewInt(4711))
	if err != nil {
		log.Fatal(err)
	}

	list, err := x509.ParseRevocationList(der)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(list.RevokedCertificateEntries[0].SerialNumber, list.CheckSignatureFrom(ca))
	// Output: 4711 <nil>
}
