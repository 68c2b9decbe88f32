package plugins_test

import (
	"crypto"
	"fmt"
	"log"
	"net"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/crypto/ssh"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// hostConfig is that of an SSH server whose host key is signer. Each connection
// costs one signature. RSA keys need nothing more here: the server offers them
// with SHA-2.
func hostConfig(signer crypto.Signer) (*ssh.ServerConfig, error) {
	hostKey, err := ssh.NewSignerFromSigner(signer)
	if err != nil {
		return nil, err
	}
	config := &ssh.ServerConfig{NoClientAuth: true} // in production: PublicKeyCallback
	config.AddHostKey(hostKey)
	return config, nil
}

// An SSH server with its host key in KMS. For OpenSSH's sshd, see the recipe of
// the agent.
func Example_sshHostKey() {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	config, err := hostConfig(signer)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		conn, _ := listener.Accept()
		ssh.NewServerConn(conn, config)
	}()

	hostKey, _ := ssh.NewPublicKey(signer.Public())
	client, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(hostKey)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", client.ServerVersion())
	// Output: SSH-2.0-Go
}
