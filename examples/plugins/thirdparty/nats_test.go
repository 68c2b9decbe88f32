package thirdparty_test

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// natsKey is an nkeys.KeyPair whose private key is in KMS.
type natsKey struct {
	nkeys.KeyPair // of the public key
	signer        crypto.Signer
}

func (k natsKey) Sign(input []byte) ([]byte, error) {
	return k.signer.Sign(nil, input, crypto.Hash(0))
}

// newNATSKey returns the key of an account or of an operator, by its prefix.
func newNATSKey(signer crypto.Signer, prefix nkeys.PrefixByte) (nkeys.KeyPair, error) {
	pub, ok := signer.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("NATS wants an Ed25519 key, not %T", signer.Public())
	}
	encoded, err := nkeys.Encode(prefix, pub)
	if err != nil {
		return nil, err
	}
	key, err := nkeys.FromPublicKey(string(encoded))
	return natsKey{key, signer}, err
}

// An account whose key is in KMS admits a user.
func Example_nats() {
	account, err := newNATSKey(fake.NewSigner(types.KeySpecEccNistEdwards25519), nkeys.PrefixByteAccount)
	if err != nil {
		log.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		log.Fatal(err)
	}
	userID, _ := user.PublicKey()
	claims := jwt.NewUserClaims(userID)
	claims.Name, claims.Expires = "alice", time.Now().Add(time.Hour).Unix()
	token, err := claims.Encode(account)
	if err != nil {
		log.Fatal(err)
	}

	decoded, err := jwt.DecodeUserClaims(token)
	fmt.Println(decoded.Name, err)
	// Output: alice <nil>
}
