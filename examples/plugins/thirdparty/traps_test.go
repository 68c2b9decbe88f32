package thirdparty_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/cloudfront/sign"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/acme/api"
	"github.com/go-acme/lego/v5/certcrypto"
	"github.com/go-jose/go-jose/v4"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/smallstep/pkcs7"
	"github.com/veraison/go-cose"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
	"github.com/kmssign/kmssign/examples/plugins/internal/proof"
	"github.com/kmssign/kmssign/jwtkms"
)

func TestTraps(t *testing.T) {
	proof.CheckTraps(t, "../../../docs/plugins.md", "traps in other modules", []proof.Trap{
		{
			Name: "defaultDigest",
			What: "smallstep/pkcs7, and other CMS libraries like it, use SHA-1 unless told otherwise.",
			Run:  defaultDigest,
			Seen: "opts ask for SHA-1, an ECDSA key wants a SHA-2 or SHA-3 hash",
			Do:   "Call `SetDigestAlgorithm`, as the recipe does.",
		},
		{
			Name: "cloudFront",
			What: "CloudFront's signed URLs and cookies use SHA-1.",
			Run:  cloudFront,
			Seen: "opts ask for SHA-1, an RSA key wants SHA-256, SHA-384 or SHA-512",
			Do:   "Keep that key outside KMS.",
		},
		{
			Name: "legoAccount",
			What: "lego takes a `crypto.Signer` as the key of an ACME account, then wants a private key.",
			Run:  legoAccount,
			Seen: "go-jose/go-jose: unsupported key type/format",
			Do:   "Use golang.org/x/crypto/acme, as the recipe does.",
		},
		{
			Name: "legoCertificate",
			What: "lego takes a `crypto.Signer` as the key of a certificate, then writes the private key to a file.",
			Run:  legoCertificate,
			Seen: "panic: runtime error: invalid memory address or nil pointer dereference",
			Do:   "Make the request yourself, as the recipe does, and have lego obtain a certificate for it (`ObtainForCSR`).",
		},
		{
			Name: "crewjamProvider",
			What: "crewjam/saml takes a `crypto.Signer` as the key of a service provider, then wants a private key.",
			Run:  crewjamProvider,
			Seen: "requires a key of type ecdsa.PrivateKey, not *kmssigner.Signer",
			Do:   "Sign the request with goxmldsig, as the recipe does.",
		},
		{
			Name: "xmlWithDER",
			What: "goxmldsig with an ECDSA key and without the adapter of the recipe writes DER, which goxmldsig verifies and xmlsec1 does not.",
			Run:  xmlWithDER,
			Seen: "xmlSecOpenSSLSignatureEcdsaVerify",
			Do:   "Use the adapter, and verify with other software.",
		},
		{
			Name: "coseWrongCurve",
			What: "go-cose does not compare the algorithm with the curve, for example ES256 with a P-384 key.",
			Run:  coseWrongCurve,
			Seen: "opts is nil and digest has 32 bytes, want 48",
			Do:   "Choose the algorithm that goes with the key.",
		},
		{
			Name: "coseSecp256k1",
			What: "go-cose signs with a secp256k1 key what it labels ES256, without an error. Verifiers refuse the key.",
			Run:  coseSecp256k1,
			Seen: "ES256: invalid public key",
			Do:   "Choose the algorithm that goes with the key. go-cose does not have ES256K.",
		},
		{
			Name: "zitadelAlgorithms",
			What: "zitadel/oidc as a provider takes assertions with RS256, PS256 and ES256 only.",
			Run:  zitadelAlgorithms,
			Seen: "signature algorithm not supported",
			Do:   "Use an RSA or P-256 key for its clients.",
		},
	})
}

func defaultDigest(*testing.T) error {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	cert, err := newCertificate(signer)
	if err != nil {
		return err
	}
	signed, err := pkcs7.NewSignedData([]byte("hello"))
	if err != nil {
		return err
	}
	return signed.AddSigner(cert, signer, pkcs7.SignerInfoConfig{})
}

func cloudFront(*testing.T) error {
	_, err := sign.NewURLSigner("key", fake.NewSigner(types.KeySpecRsa2048)).Sign("https://example.com/", time.Now().Add(time.Hour))
	return err
}

func legoAccount(t *testing.T) error {
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"newNonce":%q,"newAccount":%q,"newOrder":%q}`, server.URL, server.URL, server.URL)
	}))
	defer server.Close()
	core, err := api.New(server.Client(), "", server.URL, "", fake.NewSigner(types.KeySpecEccNistP256))
	if err != nil {
		return err
	}
	_, err = core.Accounts.New(t.Context(), acme.Account{})
	return err
}

func legoCertificate(*testing.T) (err error) {
	defer func() { err = fmt.Errorf("panic: %v", recover()) }()
	certcrypto.PEMEncode(fake.NewSigner(types.KeySpecEccNistP256))
	return nil
}

func crewjamProvider(*testing.T) error {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	cert, err := newCertificate(signer)
	if err != nil {
		return err
	}
	provider := saml.ServiceProvider{Key: signer, Certificate: cert, SignatureMethod: dsig.ECDSASHA256SignatureMethod}
	return provider.SignAuthnRequest(&saml.AuthnRequest{})
}

func xmlWithDER(t *testing.T) error {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	cert, err := newCertificate(signer)
	if err != nil {
		return err
	}
	signing, err := dsig.NewSigningContext(signer, [][]byte{cert.Raw})
	if err != nil {
		return err
	}
	document := etree.NewDocument()
	document.CreateElement("order").CreateAttr("ID", "o1")
	signed, err := signing.SignEnveloped(document.Root())
	if err != nil {
		return err
	}
	return xmlsec1(t, signed, cert)
}

func coseWrongCurve(*testing.T) error {
	_, err := signCOSE(fake.NewSigner(types.KeySpecEccNistP384), cose.AlgorithmES256, []byte("hello"))
	return err
}

func coseSecp256k1(*testing.T) error {
	signer := fake.NewSigner(types.KeySpecEccSecgP256k1)
	data, err := signCOSE(signer, cose.AlgorithmES256, []byte("hello"))
	if err != nil {
		return err
	}
	var message cose.Sign1Message
	if err := message.UnmarshalCBOR(data); err != nil {
		return err
	}
	verifier, err := cose.NewVerifier(cose.AlgorithmES256, signer.Public())
	if err != nil {
		return err
	}
	return message.Verify(nil, verifier)
}

func zitadelAlgorithms(*testing.T) error {
	signer := fake.NewSigner(types.KeySpecEccNistP384)
	provider := newProvider(signer.Public(), jose.ES384)
	defer provider.Close()
	_, err := jwtBearer{signer, jwtkms.ES384, "my-key", "my-client", provider.URL + "/zitadel", provider.URL + "/zitadel"}.Token()
	return err
}
