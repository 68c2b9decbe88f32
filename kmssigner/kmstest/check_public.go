package kmstest

import (
	"bytes"
	"crypto"
	"fmt"
)

// firstPublic looks at the public key before the first signature.
func (c *signerCheck) firstPublic() (crypto.PublicKey, bool) {
	const types = "*rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or *mldsa.PublicKey of filippo.io/mldsa"
	pub, err := c.callPublic()
	switch {
	case err != nil:
		c.violation("Public: %w; want one of %s: it has no error to return, so the key must be known before", err, types)
		return nil, false
	case pub == nil:
		c.violation("Public: got nil; want one of %s: it has no error to return, so the key must be known before", types)
		return nil, false
	}
	if _, ok := pub.(interface{ Equal(crypto.PublicKey) bool }); !ok {
		c.violation("Public: a %T has no method Equal(crypto.PublicKey) bool; want it: package crypto promises it of every public key, "+
			"and crypto/x509 compares the keys of certificate and signer with it", pub)
	}
	key, encoding, err := encodePublic(pub)
	if err != nil {
		c.violation("Public: %w; want one of %s: no signature can be verified without", err, types)
		return nil, false
	}
	c.key, c.public = key, encoding
	again, err := c.callPublic()
	c.samePublic(again, err, "at its second call")
	return pub, true
}

// lastPublic looks at the public key, and at the value that was returned first,
// after the last signature.
func (c *signerCheck) lastPublic(first crypto.PublicKey) {
	c.samePublic(first, nil, "in the value returned first, after signing")
	pub, err := c.callPublic()
	c.samePublic(pub, err, "after signing")
}

// samePublic reports whether pub is still the public key.
func (c *signerCheck) samePublic(pub crypto.PublicKey, err error, when string) bool {
	var encoding []byte
	if err == nil {
		_, encoding, err = encodePublic(pub)
	}
	switch {
	case err != nil:
		c.violation("Public: %s: %w; want the same key always", when, err)
		return false
	case !bytes.Equal(encoding, c.public):
		c.violation("Public: it returned another key %s; want the same always: certificates and key sets are made of one call of it "+
			"and used with the signatures of a later one", when)
		return false
	}
	return true
}

func (c *signerCheck) callPublic() (_ crypto.PublicKey, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v", r)
		}
	}()
	return c.signer.Public(), nil
}

// encodePublic encodes a public key, to compare it with what it was or will be.
func encodePublic(pub crypto.PublicKey) (_ keyCheck, _ []byte, err error) {
	defer func() {
		if r := recover(); r != nil { // nil, or nil inside
			err = fmt.Errorf("the %T is not a whole key: %v", pub, r)
		}
	}()
	key, err := newKeyCheck(pub)
	if err != nil {
		return nil, nil, err
	}
	encoding, err := key.encode()
	return key, encoding, err
}
