package derconv_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	decred "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/kmssign/kmssign/derconv"
)

// A crypto.Signer, such as a key in AWS KMS, returns an ECDSA signature in DER.
// A JWT carries R and S instead. Both encodings are of the same signature, and
// both verify.
func Example() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	var signer crypto.Signer = key
	digest := sha256.Sum256([]byte("header.payload"))
	der, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		log.Fatal(err)
	}

	// The issuer puts R and S into the token.
	p1363, err := derconv.ToP1363(der, elliptic.P256())
	if err != nil {
		log.Fatal(err)
	}
	r := new(big.Int).SetBytes(p1363[:32])
	s := new(big.Int).SetBytes(p1363[32:])
	fmt.Println("R and S verify:", ecdsa.Verify(&key.PublicKey, digest[:], r, s))

	// A receiver whose library takes DER converts them back.
	back, err := derconv.ToDER(p1363, elliptic.P256())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("DER verifies:", ecdsa.VerifyASN1(&key.PublicKey, digest[:], back))
	fmt.Println("same bytes:", bytes.Equal(back, der))
	// Output:
	// R and S verify: true
	// DER verifies: true
	// same bytes: true
}

func ExampleToP1363() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("header.payload"))
	der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		log.Fatal(err)
	}

	p1363, err := derconv.ToP1363(der, key.Curve)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(p1363), "bytes,", len(base64.RawURLEncoding.EncodeToString(p1363)), "characters in a JWT")
	// Output: 64 bytes, 86 characters in a JWT
}

// The error names the rule that the input breaks.
func ExampleToP1363_failure() {
	der := []byte{0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x81}
	_, err := derconv.ToP1363(der, elliptic.P256())
	fmt.Println(err)

	_, err = derconv.ToP1363(append(der, 0), elliptic.P256())
	fmt.Println(err)
	// Output:
	// derconv: S is negative: an INTEGER of length 1 that starts with 0x81
	// derconv: trailing bytes after the SEQUENCE: 1
}

// One buffer serves many signatures.
func ExampleAppendP1363() {
	signatures := [][]byte{
		{0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x02},
		{0x30, 0x06, 0x02, 0x01, 0x03, 0x02, 0x01, 0x04},
	}
	buf := make([]byte, 0, 64)
	for _, der := range signatures {
		p1363, err := derconv.AppendP1363(buf[:0], der, elliptic.P256())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(p1363), p1363[31], p1363[63])
	}
	// Output:
	// 64 1 2
	// 64 3 4
}

// The signature of a JWT is converted for a function that takes DER.
func ExampleToDER() {
	// The signature of RFC 7515, appendix A.3.
	sig, err := base64.RawURLEncoding.DecodeString(
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
	if err != nil {
		log.Fatal(err)
	}
	der, err := derconv.ToDER(sig, elliptic.P256())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%x\n", der)
	// Output: 304502200ed1215379636c483c2f7f155807d402a3b228033af97c7e17819ac3169ea665022100c50a07d38c3c70e5d8f12daf084a5480a66590c5f293509a8f3f7f8a83a354d5
}

func ExampleToDER_failure() {
	_, err := derconv.ToDER(make([]byte, 64), elliptic.P384())
	fmt.Println(err)

	_, err = derconv.ToDER(make([]byte, 64), elliptic.P256())
	fmt.Println(err)
	// Output:
	// derconv: P1363 signature has 64 bytes, want 96 for P-384 (2 integers of 48)
	// derconv: R is zero, want 1 to n-1 for the order n of P-256
}

func ExampleAppendDER() {
	sig := make([]byte, 64)
	sig[31], sig[63] = 0x7f, 0x80

	// 72 bytes hold any signature on P-256.
	der, err := derconv.AppendDER(make([]byte, 0, 72), sig, elliptic.P256())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("% x\n", der)
	// Output: 30 07 02 01 7f 02 02 00 80
}

// Half of all signatures have a high S, which Bitcoin, for one, rejects.
func ExampleLowSDER() {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("transaction"))
	der, err := ecdsa.SignASN1(rand.Reader, key.ToECDSA(), digest[:])
	if err != nil {
		log.Fatal(err)
	}

	low, err := derconv.LowSDER(der, key.ToECDSA().Curve)
	if err != nil {
		log.Fatal(err)
	}
	sig, err := decred.ParseDERSignature(low)
	if err != nil {
		log.Fatal(err)
	}
	s := sig.S()
	fmt.Println("high S:", s.IsOverHalfOrder(), "valid:", sig.Verify(digest[:], key.PubKey()))
	// Output: high S: false valid: true
}

func ExampleLowSP1363() {
	curve := elliptic.P256()
	sig := make([]byte, 64)
	sig[31] = 1
	new(big.Int).Sub(curve.Params().N, big.NewInt(5)).FillBytes(sig[32:]) // S = n-5

	low, err := derconv.LowSP1363(sig, curve)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(low), "bytes, S =", new(big.Int).SetBytes(low[32:]))
	// Output: 64 bytes, S = 5
}
