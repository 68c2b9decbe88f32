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

// newSSHCA returns an SSH CA whose key is signer. MarshalAuthorizedKey of its
// PublicKey is the line for sshd's TrustedUserCAKeys. RSA keys sign with SHA-512,
// because OpenSSH takes no SHA-1.
func newSSHCA(signer crypto.Signer) (ssh.Signer, error) {
	ca, err := ssh.NewSignerFromSigner(signer)
	if err != nil || ca.PublicKey().Type() != ssh.KeyAlgoRSA {
		return ca, err
	}
	return ssh.NewSignerWithAlgorithms(ca.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSASHA512})
}

// signUserKey returns a certificate that lets the owner of key log in as user for
// a working day. MarshalAuthorizedKey of it is the content of id_...-cert.pub.
func signUserKey(ca ssh.Signer, key ssh.PublicKey, user string) (*ssh.Certificate, error) {
	cert := &ssh.Certificate{
		Key:             key,
		CertType:        ssh.UserCert, // or ssh.HostCert, with host names as the principals
		KeyId:           user,
		ValidPrincipals: []string{user},
		ValidAfter:      uint64(time.Now().Add(-time.Minute).Unix()),
		ValidBefore:     uint64(time.Now().Add(8 * time.Hour).Unix()),
		Permissions:     ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	return cert, cert.SignCert(rand.Reader, ca)
}

// An SSH CA with its key in KMS signs a user's key.
func Example_sshCA() {
	ca, err := newSSHCA(fake.NewSigner(types.KeySpecEccNistEdwards25519))
	if err != nil {
		log.Fatal(err)
	}
	userKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMvDKrX9aHhpBXMnIKsyGLoyOpYH+nvKHB+0XiMqHDKg alice@laptop"))
	if err != nil {
		log.Fatal(err)
	}
	cert, err := signUserKey(ca, userKey, "alice")
	if err != nil {
		log.Fatal(err)
	}

	checker := ssh.CertChecker{}
	fmt.Println(cert.Type(), checker.CheckCert("alice", cert))
	// Output: ssh-ed25519-cert-v01@openssh.com <nil>
}
