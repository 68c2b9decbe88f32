package thirdparty_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
	"github.com/kmssign/kmssign/kmssigner"
)

// tufSigner is a signature.Signer of sigstore with the hash that go-tuf expects:
// SHA-256 for RSA and for any curve.
type tufSigner struct{ signer *kmssigner.Signer }

func (s tufSigner) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return s.signer.Public(), nil
}

func (s tufSigner) SignMessage(message io.Reader, _ ...signature.SignOption) ([]byte, error) {
	data, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	var opts crypto.SignerOpts = crypto.SHA256
	switch s.signer.Public().(type) {
	case ed25519.PublicKey:
		opts = crypto.Hash(0)
	case *rsa.PublicKey:
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	return s.signer.SignMessage(nil, data, opts)
}

// newRoot returns root metadata that names the key for a role and is signed by it.
func newRoot(signer *kmssigner.Signer) (*metadata.Metadata[metadata.RootType], error) {
	key, err := metadata.KeyFromPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	root := metadata.Root(time.Now().AddDate(1, 0, 0))
	if err := root.Signed.AddKey(key, "root"); err != nil {
		return nil, err
	}
	_, err = root.Sign(tufSigner{signer})
	return root, err
}

// The root metadata of a TUF repository, signed with a key in KMS.
func Example_tuf() {
	root, err := newRoot(fake.NewSigner(types.KeySpecEccNistP256))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(root.VerifyDelegate("root", root))
	// Output: <nil>
}
