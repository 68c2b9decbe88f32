package plugins_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/kmssign/kmssign/examples/plugins/internal/proof"
	"github.com/kmssign/kmssign/kmssigner"
)

const sshd = "/usr/sbin/sshd"

// needSSHD skips the test where OpenSSH's server cannot run.
func needSSHD(t *testing.T) {
	t.Helper()
	proof.Need(t, "ssh", "ssh-keygen", sshd)
	if os.Getuid() == 0 {
		if _, err := os.Stat("/run/sshd"); err != nil {
			t.Skip("sshd needs /run/sshd to run as root (mkdir -m 755 /run/sshd)")
		}
	}
}

// me returns the user who runs the test, because sshd lets in nobody else.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// newKey has ssh-keygen make a key, and returns the paths of both halves.
func newKey(t *testing.T) (private, public string) {
	t.Helper()
	private = filepath.Join(t.TempDir(), "id")
	if _, err := proof.Program(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", private); err != nil {
		t.Fatal(err)
	}
	return private, private + ".pub"
}

func readKey(t *testing.T, path string) ssh.PublicKey {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// login runs OpenSSH's ssh, connected to an sshd that it starts with a
// configuration.
func login(t *testing.T, env []string, known []byte, sshdConfig []string, sshOptions ...string) error {
	t.Helper()
	needSSHD(t)
	sshdConfig = append(sshdConfig, "StrictModes no", "UsePAM no", "PermitRootLogin yes", "PasswordAuthentication no", "PidFile none")
	config := proof.File(t, "sshd_config", []byte(strings.Join(sshdConfig, "\n")+"\n"))
	args := []string{"-F", "none", "-o", "ProxyCommand=" + sshd + " -i -e -f " + config,
		"-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + proof.File(t, "known_hosts", known), "-o", "StrictHostKeyChecking=yes"}
	args = append(append(args, sshOptions...), me(t)+"@host.example.com", "echo", "logged in")
	cmd := exec.CommandContext(t.Context(), "ssh", args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := proof.Output(t, cmd)
	if err == nil && !strings.Contains(out, "logged in") {
		t.Errorf("ssh printed %q", out)
	}
	return err
}

// knownHost is the line of known_hosts for the host of login.
func knownHost(key ssh.PublicKey) []byte {
	return fmt.Appendf(nil, "host.example.com %s", ssh.MarshalAuthorizedKey(key))
}

// judgeSSHCA has OpenSSH's sshd, which trusts the CA, let in a user with a
// certificate, and nobody whose name is not in it.
func judgeSSHCA(t *testing.T, signer *kmssigner.Signer) error {
	needSSHD(t)
	ca, err := ssh.NewPublicKey(signer.Public())
	if err != nil {
		return err
	}
	hostKey, hostPub := newKey(t)
	userKey, userPub := newKey(t)
	config := []string{"HostKey " + hostKey, "AuthorizedKeysFile none",
		"TrustedUserCAKeys " + proof.File(t, "ca.pub", ssh.MarshalAuthorizedKey(ca))}
	for _, principal := range []string{me(t), "somebody-else"} {
		cert, err := signUserKey(signer, readKey(t, userPub), principal)
		if err != nil {
			return err
		}
		certFile := proof.File(t, "id-cert.pub", ssh.MarshalAuthorizedKey(cert))
		out, err := proof.Program(t, "ssh-keygen", "-L", "-f", certFile)
		if err != nil {
			return err
		}
		if !strings.Contains(out, ssh.FingerprintSHA256(ca)) {
			t.Errorf("ssh-keygen does not name the CA: %s", out)
		}
		err = login(t, nil, knownHost(readKey(t, hostPub)), config, "-i", userKey, "-o", "CertificateFile="+certFile)
		if principal == me(t) && err != nil {
			return err
		}
		if principal != me(t) && (err == nil || !strings.Contains(err.Error(), "Permission denied")) {
			t.Errorf("sshd lets in a user with a certificate for %s: %v", principal, err)
		}
	}
	return nil
}

// judgeSSHHost has OpenSSH's ssh connect to a server with the key, which it
// knows, and to one that it knows by another key.
func judgeSSHHost(t *testing.T, signer *kmssigner.Signer) error {
	config, err := hostConfig(signer)
	if err != nil {
		return err
	}
	key, err := ssh.NewPublicKey(signer.Public())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	go serveSSH(listener, config)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	_, otherPub := newKey(t)
	for i, known := range []ssh.PublicKey{key, readKey(t, otherPub)} {
		_, err := proof.Program(t, "ssh", "-F", "none", "-p", port, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
			"-o", "HostKeyAlias=host.example.com", "-o", "UserKnownHostsFile="+proof.File(t, "known_hosts", knownHost(known)), "127.0.0.1", "true")
		if i == 0 && err != nil {
			return err
		}
		if i == 1 && (err == nil || !strings.Contains(err.Error(), "Host key verification failed")) {
			t.Errorf("ssh connects to a host with another key: %v", err)
		}
	}
	return nil
}

// serveSSH answers each command with status 0.
func serveSSH(listener net.Listener, config *ssh.ServerConfig) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			_, channels, requests, err := ssh.NewServerConn(conn, config)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests)
			for newChannel := range channels {
				channel, requests, err := newChannel.Accept()
				if err != nil {
					return
				}
				for request := range requests {
					request.Reply(true, nil)
					if request.Type == "exec" {
						channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
						channel.Close()
					}
				}
			}
		}()
	}
}

// judgeSSHAgent has OpenSSH and git use the key through the agent: to log in, as
// the host key of sshd, and to sign a file and a commit.
func judgeSSHAgent(t *testing.T, signer *kmssigner.Signer) error {
	dir, err := os.MkdirTemp("", "agent") // t.TempDir is too long for a socket
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "agent.sock")
	listener, err := serveAgent(signer, socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	key, err := ssh.NewPublicKey(signer.Public())
	if err != nil {
		return err
	}
	line := ssh.MarshalAuthorizedKey(key)
	pub, env := proof.File(t, "kms.pub", line), []string{"SSH_AUTH_SOCK=" + socket}

	hostKey, hostPub := newKey(t)
	err = login(t, env, knownHost(readKey(t, hostPub)), []string{"HostKey " + hostKey, "AuthorizedKeysFile " + proof.File(t, "authorized_keys", line)},
		"-i", pub, "-o", "IdentitiesOnly=yes")
	if err != nil {
		return err
	}
	userKey, userPub := newKey(t)
	err = login(t, nil, knownHost(key), []string{"HostKey " + pub, "HostKeyAgent " + socket, "AuthorizedKeysFile " + userPub}, "-i", userKey)
	if err != nil {
		return fmt.Errorf("as a host key: %w", err)
	}
	if err := signsFile(t, env, pub, line); err != nil {
		return err
	}
	return signsCommit(t, env, pub, line)
}

// signsFile has ssh-keygen sign a file with the key of the agent, and verify it.
func signsFile(t *testing.T, env []string, pub string, line []byte) error {
	file := proof.File(t, "file", []byte("text\n"))
	sign := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "sign", "-n", "file", "-f", pub, file)
	sign.Env = append(os.Environ(), env...)
	if _, err := proof.Output(t, sign); err != nil {
		return err
	}
	allowed := proof.File(t, "allowed_signers", append([]byte("alice@example.com "), line...))
	for _, text := range []string{"text\n", "other text\n"} {
		verify := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-n", "file", "-f", allowed, "-I", "alice@example.com", "-s", file+".sig")
		verify.Stdin = strings.NewReader(text)
		_, err := proof.Output(t, verify)
		if text == "text\n" && err != nil {
			return err
		}
		if text != "text\n" && err == nil {
			t.Error("ssh-keygen verifies the signature for another file")
		}
	}
	return nil
}

// signsCommit has git sign a commit with the key of the agent, and verify it.
func signsCommit(t *testing.T, env []string, pub string, line []byte) error {
	dir := t.TempDir()
	allowed := proof.File(t, "allowed_signers", append([]byte("alice@example.com "), line...))
	env = append(append(os.Environ(), env...), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	for _, args := range [][]string{
		{"init", "-q"},
		{"commit", "-q", "-S", "--allow-empty", "-m", "signed"},
		{"verify-commit", "HEAD"},
	} {
		git := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Alice", "-c", "user.email=alice@example.com",
			"-c", "gpg.format=ssh", "-c", "user.signingKey=" + pub, "-c", "gpg.ssh.allowedSignersFile=" + allowed}, args...)...)
		git.Env = env
		if _, err := proof.Output(t, git); err != nil {
			return err
		}
	}
	return nil
}
