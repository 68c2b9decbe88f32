package plugins_test

import (
	"crypto"
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/crypto/ssh"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// signUserKey returns a certificate that lets the owner of key log in as user for
// a working day. MarshalAuthorizedKey of it is the content of id_...-cert.pub.
func signUserKey(signer crypto.Signer, key ssh.PublicKey, user string) (*ssh.Certificate, error) {
	ca, err := ssh.NewSignerFromSigner(signer)
	if err != nil {
		return nil, err
	}
	cert := &ssh.Certificate{
		Key:             key,
		CertType:        ssh.UserCert, // or ssh.HostCert, with host names as the principals
		KeyId:           user,
		ValidPrincipals: []string{user},
		ValidAfter:      uint64(time.Now().Add(-time.Minute).Unix()),
		ValidBefore:     uint64(time.Now().Add(8 * time.Hour).Unix()),
		Permissions:     ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	err = cert.SignCert(rand.Reader, ca)
	return cert, err
}

// An SSH CA with its key in KMS signs a user's key. The CA's public key, for
// sshd's TrustedUserCAKeys, is MarshalAuthorizedKey of ssh.NewPublicKey of the
// Signer's Public.
func Example_sshCA() {
	userKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMvDKrX9aHhpBXMnIKsyGLoyOpYH+nvKHB+0XiMqHDKg alice@laptop"))
	if err != nil {
		log.Fatal(err)
	}
	signer := fake.NewSigner(types.KeySpecEccNistEdwards25519)
	cert, err := signUserKey(signer, userKey, "alice")
	if err != nil {
		log.Fatal(err)
	}

	checker := ssh.CertChecker{}
	fmt.Println(cert.Type(), checker.CheckCert("alice", cert))
	// Output: ssh-ed25519-cert-v01@openssh.com <nil>
}
