package pkcs8

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"testing"

	"filippo.io/mldsa"

	"github.com/kmssign/kmssign/internal/secp256k1"
)

// openssl is a key on secp256k1 by "openssl genpkey -algorithm EC -pkeyopt
// ec_paramgen_curve:secp256k1".
const openssl = `-----BEGIN PRIVATE KEY-----
MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgEFxn5fgJH9ErzD9Njpnk
KVSiSJPv8C+uJOt8ykWxsIehRANCAATFC+yM+WVcRdZjsFdc8uAkcX1NkX5EHX2p
BGQh9n3NAdJntIuZFzVif0zC/MicyQK6IWTouwa1Gd9XSUB/22Cw
-----END PRIVATE KEY-----`

func parsePEM(t *testing.T) []byte {
	block, _ := pem.Decode([]byte(openssl))
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

func TestRoundTrip(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ml, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	secp, err := Parse(parsePEM(t))
	if err != nil {
		t.Fatal(err)
	}
	if secp.(*ecdsa.PrivateKey).Curve != secp256k1.Curve {
		t.Error("the key of openssl is on another curve")
	}
	for _, key := range []crypto.PrivateKey{p384, ed, ml, secp} {
		der, err := Marshal(key)
		if err != nil {
			t.Fatalf("%T: %v", key, err)
		}
		again, err := Parse(der)
		if err != nil {
			t.Fatalf("%T: %v", key, err)
		}
		if !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(again) {
			t.Errorf("%T: another key came back", key)
		}
	}
	// openssl writes the same bytes.
	if der, err := Marshal(secp); err != nil || !bytes.Equal(der, parsePEM(t)) {
		t.Errorf("%x, %v", der, err)
	}
}

// TestCorrupt changes each byte of a key in turn. The result is an error or, if
// the key is read, a key that is encoded as it was read: nothing is ignored.
func TestCorrupt(t *testing.T) {
	good := parsePEM(t)
	for i := range good {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			key, err := Parse(bad)
			if err != nil {
				continue
			}
			der, err := Marshal(key)
			if err != nil || !bytes.Equal(der, bad) {
				t.Errorf("byte %d changed by %x is accepted", i, flip)
			}
		}
		if _, err := Parse(good[:i]); err == nil {
			t.Errorf("the first %d bytes are accepted", i)
		}
	}
	if _, err := Parse(append(good, 0)); err == nil {
		t.Error("trailing data is accepted")
	}
	for _, key := range []crypto.PrivateKey{nil, &ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: secp256k1.Curve}}} {
		if _, err := Marshal(key); err == nil {
			t.Errorf("%T is encoded", key)
		}
	}
}
