package thirdparty_test

import (
	"testing"

	"github.com/kmssign/kmssign/examples/plugins/internal/proof"
)

// secp256k1 is the refusal of crypto/x509, which has neither certificates nor
// SubjectPublicKeyInfo for that curve.
var secp256k1 = proof.Refusal{Keys: []proof.Key{proof.Secp256k1}, Limit: "crypto/x509", Error: "x509: unsupported elliptic curve"}

// rsaOrECDSA are the refusals of a consumer that wants a certificate for an RSA or
// ECDSA key. Before Go 1.27, crypto/x509 makes none for an ML-DSA key.
func rsaOrECDSA(limit, text string) []proof.Refusal {
	return []proof.Refusal{
		secp256k1,
		{Keys: []proof.Key{proof.Ed25519}, Limit: limit, Error: text},
		{Keys: []proof.Key{proof.MLDSA}, Limit: "crypto/x509", Go: proof.Before1_27, Error: "x509: only RSA, ECDSA and Ed25519 keys supported"},
		{Keys: []proof.Key{proof.MLDSA}, Limit: limit, Go: proof.From1_27, Error: text},
	}
}

// TestRecipes runs each recipe with every type of key, and compares the page with
// what happens.
func TestRecipes(t *testing.T) {
	proof.Check(t, "../../../docs/plugins.md", "thirdparty", []proof.Recipe{
		{
			Job:      "GitHub App",
			Consumer: "ghinstallation",
			File:     "github_test.go",
			Glue:     "`appSigner`: claims from golang-jwt v4 to v5",
			Judge:    "golang-jwt v4",
			Run:      judgeGitHub,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.P256, proof.P384, proof.P521, proof.Secp256k1, proof.Ed25519, proof.MLDSA}, Limit: "GitHub", Error: "jwtkms: RS256 wants an RSA key"},
			},
		},
		{
			Job:      "ACME account",
			Consumer: "golang.org/x/crypto/acme",
			File:     "acme_test.go",
			Judge:    "Pebble, Let's Encrypt's test CA",
			Run:      judgeACME,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.Secp256k1, proof.Ed25519, proof.MLDSA}, Limit: "x/crypto/acme", Error: "acme: unknown key type; only RSA and ECDSA are supported"},
			},
		},
		{
			Job:      "OIDC client with private_key_jwt",
			Consumer: "zitadel/oidc, x/oauth2",
			File:     "clientassertion_test.go",
			Glue:     "`privateKeyJWT`: a token source",
			Judge:    "jwx; zitadel/oidc as the provider",
			Run:      judgeClientAssertion,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.Secp256k1}, Limit: "go-jose", Error: "go-jose/go-jose: unknown/unsupported algorithm"},
				{Keys: []proof.Key{proof.MLDSA}, Limit: "go-jose", Go: proof.Before1_27, Error: "go-jose/go-jose: unknown/unsupported algorithm"},
				{Keys: []proof.Key{proof.MLDSA}, Limit: "the provider, here jwx", Go: proof.From1_27, Error: "oauth2: cannot fetch token: 401 Unauthorized"},
			},
		},
		{
			Job:      "OAuth service account with a JWT bearer grant",
			Consumer: "x/oauth2",
			File:     "jwtbearer_test.go",
			Glue:     "`jwtBearer`: a token source",
			Judge:    "jwx; zitadel/oidc as the provider",
			Run:      judgeJWTBearer,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.Secp256k1, proof.MLDSA}, Limit: "the provider, here jwx", Error: "oauth2: cannot fetch token: 401 Unauthorized"},
			},
		},
		{
			Job:      "COSE",
			Consumer: "veraison/go-cose",
			File:     "cose_test.go",
			Judge:    "fxamacker/cbor and the standard library; go-cose",
			Run:      judgeCOSE,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.Secp256k1, proof.MLDSA}, Limit: "go-cose", Error: "unknown algorithm: algorithm not supported"},
			},
		},
		{
			Job:      "DSSE envelope (in-toto, SLSA)",
			Consumer: "go-securesystemslib",
			File:     "dsse_test.go",
			Glue:     "`dsseSigner`",
			Judge:    "go-securesystemslib",
			Run:      judgeDSSE,
			Refusals: []proof.Refusal{
				secp256k1,
				{Keys: []proof.Key{proof.MLDSA}, Limit: "crypto/x509", Go: proof.Before1_27, Error: "x509: unsupported public key type: *mldsa.PublicKey"},
				{Keys: []proof.Key{proof.MLDSA}, Limit: "go-securesystemslib", Go: proof.From1_27, Error: "unknown key type"},
			},
		},
		{
			Job:      "TUF metadata",
			Consumer: "go-tuf",
			File:     "tuf_test.go",
			Glue:     "`tufSigner`",
			Judge:    "go-tuf, with sigstore's verifiers",
			Run:      judgeTUF,
			Refusals: []proof.Refusal{
				secp256k1,
				{Keys: []proof.Key{proof.MLDSA}, Limit: "go-tuf", Error: "unsupported public key type"},
			},
		},
		{
			Job:      "CMS",
			Consumer: "smallstep/pkcs7",
			File:     "cms_test.go",
			Judge:    "openssl",
			Run:      judgeCMS,
			Refusals: rsaOrECDSA("smallstep/pkcs7", "pkcs7: cannot convert encryption algorithm to oid, unknown private key type"),
		},
		{
			Job:      "PDF signature",
			Consumer: "smallstep/pkcs7",
			File:     "pdf_test.go",
			Glue:     "`signPDF`",
			Judge:    "pdfsig",
			Run:      judgePDF,
			Refusals: rsaOrECDSA("smallstep/pkcs7", "pkcs7: cannot convert encryption algorithm to oid, unknown private key type"),
		},
		{
			Job:      "XML-DSig, SAML assertion",
			Consumer: "goxmldsig",
			File:     "xmldsig_test.go",
			Glue:     "`xmlSigner`: R‖S instead of DER",
			Judge:    "xmlsec1",
			Run:      judgeXML,
			Refusals: rsaOrECDSA("goxmldsig", "unsupported signature method"),
		},
		{
			Job:      "Ethereum transaction",
			Consumer: "go-ethereum",
			File:     "ethereum_test.go",
			Glue:     "`signTx`: low S and the recovery id",
			Judge:    "go-ethereum",
			Run:      judgeEthereum,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.RSA, proof.P256, proof.P384, proof.P521, proof.Ed25519, proof.MLDSA}, Limit: "Ethereum", Error: "an Ethereum account needs a secp256k1 key"},
			},
		},
		{
			Job:      "NATS account or operator",
			Consumer: "nats-io/nkeys, nats-io/jwt",
			File:     "nats_test.go",
			Glue:     "`natsKey`",
			Judge:    "nats-io/jwt",
			Run:      judgeNATS,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.RSA, proof.P256, proof.P384, proof.P521, proof.Secp256k1, proof.MLDSA}, Limit: "NATS", Error: "NATS wants an Ed25519 key"},
			},
		},
		{
			Job:      "SigV4-X509 for IAM Roles Anywhere",
			Consumer: "IAM Roles Anywhere",
			File:     "rolesanywhere_test.go",
			Glue:     "`signX509`",
			Judge:    "the SDK's SigV4 signer and crypto/x509",
			Run:      judgeRolesAnywhere,
			Refusals: rsaOrECDSA("IAM Roles Anywhere", "opts ask for SHA-256"),
		},
	})
}
