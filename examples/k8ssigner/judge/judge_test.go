// Package judge drives k8ssigner by kube-apiserver's own code: the client of
// the external signer, the authenticator of service account tokens, and the
// OIDC discovery documents. It is a module of its own, because
// k8s.io/kubernetes requires so much. .ci/k8s runs it.
package judge

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	apiserverserviceaccount "k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/serviceaccount"
	"k8s.io/kubernetes/pkg/serviceaccount/externaljwt/plugin"
)

// start starts the program that K8SSIGNER names and returns its socket.
func start(t *testing.T) string {
	t.Helper()
	program := os.Getenv("K8SSIGNER")
	if program == "" {
		t.Fatal("K8SSIGNER is not set, want the path of the program; .ci/k8s sets it")
	}
	socket := filepath.Join(t.TempDir(), "s.sock")
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-socket", socket)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), `"msg":"serving"`) {
				close(ready)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the program ended with status %d", code)
		}
	})
	select {
	case <-ready:
	case <-ended:
		t.Fatal("the program ended at once")
	}
	return socket
}

// validator takes all claims: the service accounts are not in a cluster.
type validator struct{}

func (validator) Validate(_ context.Context, _ string, public *jwt.Claims, _ *map[string]any) (*apiserverserviceaccount.ServiceAccountInfo, error) {
	namespace, name, err := apiserverserviceaccount.SplitUsername(public.Subject)
	return &apiserverserviceaccount.ServiceAccountInfo{Namespace: namespace, Name: name}, err
}

func TestKubeAPIServer(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	issuer := server.URL

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	signer, keys, err := plugin.New(ctx, issuer, start(t), 10*time.Second, false)
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := signer.GetServiceMetadata(ctx)
	if err != nil || metadata.MaxTokenExpirationSeconds < 600 {
		t.Fatalf("metadata %v, %v", metadata, err)
	}

	account := core.ServiceAccount{}
	account.Namespace, account.Name, account.UID = "default", "robot", "1234"
	claims, private, err := serviceaccount.Claims(account, nil, nil, nil, metadata.MaxTokenExpirationSeconds, 0, []string{"api<1>"})
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signer.GenerateToken(ctx, claims, private)
	if err != nil {
		t.Fatal(err)
	}

	authenticate := serviceaccount.JWTTokenAuthenticator([]string{issuer}, keys, authenticator.Audiences{"api<1>"}, validator{})
	response, ok, err := authenticate.AuthenticateToken(ctx, compact)
	if err != nil || !ok || response.User.GetName() != "system:serviceaccount:default:robot" {
		t.Errorf("kube-apiserver's authenticator: %v, %v, %v", response, ok, err)
	}
	if _, ok, err := authenticate.AuthenticateToken(ctx, compact[:len(compact)-8]+"AAAAAAAA"); ok || err == nil {
		t.Errorf("a changed signature: %v, %v", ok, err)
	}

	// The documents that kube-apiserver serves, read by a client of OIDC
	// federation.
	documents, err := serviceaccount.NewOpenIDMetadataProvider(issuer, issuer+"/openid/v1/jwks", "", keys)
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		text, _ := documents.GetConfigJSON()
		w.Header().Set("Content-Type", "application/json")
		w.Write(text)
	})
	mux.HandleFunc("/openid/v1/jwks", func(w http.ResponseWriter, r *http.Request) {
		text, _ := documents.GetKeysetJSON()
		if !json.Valid(text) {
			t.Errorf("the JWKS is %q", text)
		}
		w.Write(text)
	})
	federated := oidc.ClientContext(ctx, server.Client())
	provider, err := oidc.NewProvider(federated, issuer)
	if err != nil {
		t.Fatal(err)
	}
	token, err := provider.VerifierContext(federated, &oidc.Config{ClientID: "api<1>"}).Verify(ctx, compact)
	if err != nil || token.Subject != "system:serviceaccount:default:robot" {
		t.Errorf("go-oidc: %v, %v", token, err)
	}

	// A lifetime that was not announced is refused.
	claims, private, err = serviceaccount.Claims(account, nil, nil, nil, metadata.MaxTokenExpirationSeconds+3600, 0, []string{"api<1>"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.GenerateToken(ctx, claims, private); err == nil || !strings.Contains(err.Error(), "InvalidArgument") {
		t.Errorf("too long a lifetime: %v", err)
	}
}
