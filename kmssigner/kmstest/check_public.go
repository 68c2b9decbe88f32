package kmstest

import (
	"bytes"
	"crypto"
	"fmt"
)

// firstPublic checks the public key before the first signature. It returns the
// key and reports whether signatures can be verified with it.
func (c *signerCheck) firstPublic() (crypto.PublicKey, bool) {
	const (
		types  = "*rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or *mldsa.PublicKey of filippo.io/mldsa"
		whyNow = "Public cannot return an error, so a signer must have its key before"
	)
	pub, err := c.callPublic()
	switch {
	case err != nil:
		c.violation("Public: %w; want one of %s: %s", err, types, whyNow)
		return nil, false
	case pub == nil:
		c.violation("Public: got nil; want one of %s: %s", types, whyNow)
		return nil, false
	}
	if _, ok := pub.(interface{ Equal(crypto.PublicKey) bool }); !ok {
		c.violation("Public: got a %T, which has no method Equal(crypto.PublicKey) bool; want one: all public keys of the "+
			"standard library have it, and crypto/x509 compares the keys of certificate and signer with it", pub)
	}
	key, encoding, err := encodePublic(pub)
	if err != nil {
		c.violation("Public: %w; want one of %s: signatures are verified with it", err, types)
		return nil, false
	}
	c.key, c.public = key, encoding
	again, err := c.callPublic()
	c.samePublic(again, err, "at the second call")
	return pub, true
}

// lastPublic checks the public key, and the value that was returned first,
// after the last signature.
func (c *signerCheck) lastPublic(first crypto.PublicKey) {
	c.samePublic(first, nil, "in the value of the first call, after signing")
	pub, err := c.callPublic()
	c.samePublic(pub, err, "after signing")
}

// samePublic reports whether pub is the key that Public returned first. If err
// is not nil, Public failed.
func (c *signerCheck) samePublic(pub crypto.PublicKey, err error, when string) bool {
	var encoding []byte
	if err == nil {
		_, encoding, err = encodePublic(pub)
	}
	switch {
	case err != nil:
		c.violation("Public: %s: %w; want the same key at each call", when, err)
		return false
	case !bytes.Equal(encoding, c.public):
		c.violation("Public: got another key %s; want the same key at each call: certificates and key sets have the key of one call, "+
			"and verify the signatures of later ones", when)
		return false
	}
	return true
}

// callPublic calls Public and returns a panic as an error.
func (c *signerCheck) callPublic() (_ crypto.PublicKey, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panicked: %v", r)
		}
	}()
	return c.signer.Public(), nil
}

// encodePublic returns the keyCheck of a public key, and an encoding to compare
// it with other keys.
func encodePublic(pub crypto.PublicKey) (_ keyCheck, _ []byte, err error) {
	defer func() {
		if r := recover(); r != nil { // pub, or a pointer in it, is nil
			err = fmt.Errorf("got an incomplete %T: %v", pub, r)
		}
	}()
	key, err := newKeyCheck(pub)
	if err != nil {
		return nil, nil, err
	}
	encoding, err := key.encode()
	return key, encoding, err
}
