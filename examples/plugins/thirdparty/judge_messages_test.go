package thirdparty_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	ethtypes "github.com/ethereum/go-ethereum/core/types"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/fxamacker/cbor/v2"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/signerverifier"
	"github.com/veraison/go-cose"

	"github.com/kmssign/kmssign/derconv"
	"github.com/kmssign/kmssign/kmssigner"
)

// judgeCOSE verifies a COSE_Sign1 by RFC 9052 section 4.4, with a CBOR library and
// the standard library, and has go-cose verify it too.
func judgeCOSE(t *testing.T, signer *kmssigner.Signer) error {
	alg := map[crypto.Hash]cose.Algorithm{crypto.SHA256: cose.AlgorithmES256, crypto.SHA384: cose.AlgorithmES384, crypto.SHA512: cose.AlgorithmES512}[signer.HashFunc()]
	switch pub := signer.Public().(type) {
	case *rsa.PublicKey:
		alg = cose.AlgorithmPS256
	case ed25519.PublicKey:
		alg = cose.AlgorithmEdDSA
	case *ecdsa.PublicKey:
		if pub.Params().Name == "secp256k1" {
			alg = -47 // ES256K
		}
	default:
		alg = -48 // ML-DSA-44, by RFC 9964
	}
	data, err := signCOSE(signer, alg, []byte("hello"))
	if err != nil {
		return err
	}
	var message cose.Sign1Message
	if err := message.UnmarshalCBOR(data); err != nil {
		return err
	}
	verifier, err := cose.NewVerifier(alg, signer.Public())
	if err != nil {
		return err
	}
	if err := message.Verify(nil, verifier); err != nil {
		return err
	}

	var parts struct {
		_                  struct{} `cbor:",toarray"`
		Protected          []byte
		Unprotected        map[any]any
		Payload, Signature []byte
	}
	if err := cbor.Unmarshal(data[1:], &parts); err != nil { // after the tag
		return err
	}
	toSign, err := cbor.Marshal([]any{"Signature1", parts.Protected, []byte{}, parts.Payload})
	if err != nil {
		return err
	}
	h := signer.HashFunc()
	switch pub := signer.Public().(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPSS(pub, h, digest(h, toSign), parts.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case ed25519.PublicKey:
		return ed25519.VerifyWithOptions(pub, toSign, parts.Signature, &ed25519.Options{})
	case *ecdsa.PublicKey:
		der, err := derconv.ToDER(parts.Signature, pub.Curve)
		if err != nil {
			return err
		}
		if !ecdsa.VerifyASN1(pub, digest(h, toSign), der) {
			return errors.New("crypto/ecdsa does not verify the signature")
		}
	}
	return nil
}

func digest(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// newDSSEVerifier returns a verifier of securesystemslib for a key.
func newDSSEVerifier(pub crypto.PublicKey) (*dsse.EnvelopeVerifier, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	key, err := signerverifier.LoadKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		return nil, err
	}
	key.KeyID, err = dsse.SHA256KeyID(pub)
	if err != nil {
		return nil, err
	}
	var verifier dsse.Verifier
	switch pub.(type) {
	case *rsa.PublicKey:
		verifier, err = signerverifier.NewRSAPSSSignerVerifierFromSSLibKey(key)
	case ed25519.PublicKey:
		verifier, err = signerverifier.NewED25519SignerVerifierFromSSLibKey(key)
	default:
		verifier, err = signerverifier.NewECDSASignerVerifierFromSSLibKey(key)
	}
	if err != nil {
		return nil, err
	}
	return dsse.NewEnvelopeVerifier(verifier)
}

// judgeDSSE verifies with the verifiers of securesystemslib.
func judgeDSSE(t *testing.T, signer *kmssigner.Signer) error {
	envelopes, err := dsse.NewEnvelopeSigner(dsseSigner{signer})
	if err != nil {
		return err
	}
	envelope, err := envelopes.SignPayload(t.Context(), "text/plain", []byte("hello"))
	if err != nil {
		return err
	}
	verifier, err := newDSSEVerifier(signer.Public())
	if err != nil {
		return err
	}
	if _, err := verifier.Verify(t.Context(), envelope); err != nil {
		return err
	}
	envelope.PayloadType = "text/html"
	if _, err := verifier.Verify(t.Context(), envelope); err == nil {
		t.Error("the envelope verifies with another payload type")
	}
	return nil
}

// judgeTUF verifies with go-tuf, which uses sigstore's verifiers.
func judgeTUF(t *testing.T, signer *kmssigner.Signer) error {
	root, err := newRoot(signer)
	if err != nil {
		return err
	}
	if err := root.VerifyDelegate("root", root); err != nil {
		return err
	}
	root.Signed.Version++
	if err := root.VerifyDelegate("root", root); err == nil {
		t.Error("the metadata verifies with another version")
	}
	return nil
}

// judgeEthereum has go-ethereum recover the sender from the transaction as it
// goes over the wire. It signs often, so that both recovery ids and both halves
// of S come up.
func judgeEthereum(t *testing.T, signer *kmssigner.Signer) error {
	chain, to := ethtypes.LatestSignerForChainID(big.NewInt(1)), common.HexToAddress("0xdeadbeef")
	for nonce := range uint64(20) {
		signed, err := signTx(signer, chain, ethtypes.NewTx(&ethtypes.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: nonce, To: &to, Gas: 21000}))
		if err != nil {
			return err
		}
		wire, err := signed.MarshalBinary()
		if err != nil {
			return err
		}
		var received ethtypes.Transaction
		if err := received.UnmarshalBinary(wire); err != nil {
			return err
		}
		from, err := ethtypes.Sender(chain, &received)
		if err != nil {
			return err
		}
		if want := ethcrypto.PubkeyToAddress(*signer.Public().(*ecdsa.PublicKey)); from != want {
			return fmt.Errorf("the sender is %v, want %v", from, want)
		}
	}
	return nil
}
