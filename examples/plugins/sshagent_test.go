package plugins_test

import (
	"crypto"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/crypto/ssh/agent"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// serveAgent serves an SSH agent that holds one key on a Unix socket. ssh, git and
// ssh-keygen -Y sign find it by the variable SSH_AUTH_SOCK, and sshd by the option
// HostKeyAgent. The directory of the socket must be closed to other users. For a
// certificate of the key, set AddedKey.Certificate.
func serveAgent(signer crypto.Signer, socket string) (net.Listener, error) {
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: signer, Comment: "kms"}); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keys, conn)
		}
	}()
	return listener, nil
}

// An agent that holds a key in KMS. Then
//
//	export SSH_AUTH_SOCK=.../agent.sock
//	ssh-add -L > kms.pub
//	ssh alice@example.com
//	git -c gpg.format=ssh -c user.signingKey=kms.pub commit -S
//
// use the key.
func Example_sshAgent() {
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	listener, err := serveAgent(fake.NewSigner(types.KeySpecEccNistP256), filepath.Join(dir, "agent.sock"))
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()

	conn, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	keys, err := agent.NewClient(conn).List()
	fmt.Println(len(keys), keys[0].Type(), err)
	// Output: 1 ecdsa-sha2-nistp256 <nil>
}
