package plugins_test

import (
	"testing"

	"github.com/kmssign/kmssign/examples/plugins/internal/proof"
)

// x509Refuses are the keys that crypto/x509 cannot take, with its error for ML-DSA
// keys before Go 1.27.
func x509Refuses(mldsa string) []proof.Refusal {
	return []proof.Refusal{
		{Keys: []proof.Key{proof.Secp256k1}, Limit: "crypto/x509", Error: "x509: unsupported elliptic curve"},
		{Keys: []proof.Key{proof.MLDSA}, Limit: "crypto/x509", Go: proof.Before1_27, Error: mldsa},
	}
}

// sshRefuses are the keys that cannot be used with SSH, with the error of OpenSSH
// for ML-DSA keys, which x/crypto knows from Go 1.27 on.
func sshRefuses(openSSH string) []proof.Refusal {
	return []proof.Refusal{
		{Keys: []proof.Key{proof.Secp256k1}, Limit: "x/crypto/ssh", Error: "ssh: only P-256, P-384 and P-521 EC keys are supported"},
		{Keys: []proof.Key{proof.MLDSA}, Limit: "x/crypto/ssh", Go: proof.Before1_27, Error: "ssh: unsupported key type *mldsa.PublicKey"},
		{Keys: []proof.Key{proof.MLDSA}, Limit: "OpenSSH", Go: proof.From1_27, Error: openSSH},
	}
}

// TestRecipes runs each recipe with every type of key, and compares the page with
// what happens.
func TestRecipes(t *testing.T) {
	proof.Check(t, "../../docs/plugins.md", "plugins", []proof.Recipe{
		{
			Job:      "private CA",
			Consumer: "crypto/x509",
			File:     "ca_test.go",
			Judge:    "openssl",
			Run:      judgeCA,
			Refusals: x509Refuses("x509: only RSA, ECDSA and Ed25519 keys supported"),
		},
		{
			Job:      "certificate request",
			Consumer: "crypto/x509",
			File:     "request_test.go",
			Judge:    "openssl",
			Run:      judgeRequest,
			Refusals: x509Refuses("x509: only RSA, ECDSA and Ed25519 keys supported"),
		},
		{
			Job:      "CRL",
			Consumer: "crypto/x509",
			File:     "crl_test.go",
			Judge:    "openssl",
			Run:      judgeCRL,
			Refusals: x509Refuses("x509: only RSA, ECDSA and Ed25519 keys supported"),
		},
		{
			Job:      "OCSP response",
			Consumer: "golang.org/x/crypto/ocsp",
			File:     "ocsp_test.go",
			Judge:    "openssl",
			Run:      judgeOCSP,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.Secp256k1}, Limit: "x/crypto/ocsp", Error: "x509: unknown elliptic curve"},
				{Keys: []proof.Key{proof.Ed25519, proof.MLDSA}, Limit: "x/crypto/ocsp", Error: "x509: only RSA and ECDSA keys supported"},
			},
		},
		{
			Job:      "TLS 1.2 and 1.3, server and client",
			Consumer: "crypto/tls",
			File:     "tls_test.go",
			Judge:    "openssl s_client and s_server",
			Run:      judgeTLS,
			Refusals: x509Refuses("x509: unsupported public key type: *mldsa.PublicKey"),
		},
		{
			Job:      "SSH CA",
			Consumer: "golang.org/x/crypto/ssh",
			File:     "sshca_test.go",
			Judge:    "OpenSSH: ssh-keygen, ssh and sshd",
			Run:      judgeSSHCA,
			Refusals: sshRefuses("invalid certificate signing key"),
		},
		{
			Job:      "SSH host key",
			Consumer: "golang.org/x/crypto/ssh",
			File:     "sshhost_test.go",
			Judge:    "OpenSSH: ssh",
			Run:      judgeSSHHost,
			Refusals: sshRefuses("no matching host key type found. Their offer: ssh-mldsa-"),
		},
		{
			Job:      "SSH agent (logins, sshd's host key, `ssh-keygen -Y`, git)",
			Consumer: "golang.org/x/crypto/ssh/agent",
			File:     "sshagent_test.go",
			Judge:    "OpenSSH: ssh, sshd and ssh-keygen; git",
			Run:      judgeSSHAgent,
			Refusals: sshRefuses("Permission denied (publickey"),
		},
		{
			Job:      "JWS and JWT by go-jose",
			Consumer: "go-jose's cryptosigner",
			File:     "gojose_test.go",
			Judge:    "jwx",
			Run:      judgeGoJOSE,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.Secp256k1}, Limit: "go-jose", Error: "go-jose/go-jose: unknown/unsupported algorithm"},
				{Keys: []proof.Key{proof.MLDSA}, Limit: "go-jose", Go: proof.Before1_27, Error: "go-jose/go-jose: unknown/unsupported algorithm"},
			},
		},
		{
			Job:      "JWS and JWT by jwx",
			Consumer: "jwx",
			File:     "jwx_test.go",
			Judge:    "go-jose",
			Run:      judgeJWX,
			Refusals: []proof.Refusal{
				{Keys: []proof.Key{proof.Secp256k1}, Limit: "jwx, unless built with `-tags jwx_es256k`", Error: `dsig algorithm "ES256K" not registered`},
				{Keys: []proof.Key{proof.MLDSA}, Limit: "jwx", Error: "failed to sign payload with ML-DSA-"},
			},
		},
	})
}
