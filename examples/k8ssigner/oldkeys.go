package main

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// An oldKey is a public key whose private key kube-apiserver had in a file. Its
// tokens live on, and have the key ID that kube-apiserver gave it.
type oldKey struct {
	id     string
	spki   []byte
	public crypto.PublicKey
}

// readOldKeys reads a PEM file of public keys.
func readOldKeys(file string) ([]oldKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var keys []oldKey
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("%s has a block %q, want PUBLIC KEY, as openssl pkey -pubout writes it", file, block.Type)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err == nil {
			_, err = method(public)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", file, len(keys)+1, err)
		}
		// As keyIDFromPublicKey does in kube-apiserver.
		id := sha256.Sum256(block.Bytes)
		keys = append(keys, oldKey{base64.RawURLEncoding.EncodeToString(id[:]), block.Bytes, public})
	}
	if len(keys) == 0 {
		return nil, errors.New(file + " has no PEM block, want PUBLIC KEY")
	}
	return keys, nil
}
