package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	externaljwt "k8s.io/externaljwt/apis/v1"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

const issuer = "https://kubernetes.default.svc"

// claims are like those of kube-apiserver. The order and the < must survive.
func claims(lifetime time.Duration) string {
	now := time.Now().Unix()
	text := fmt.Sprintf(`{"aud":["api"],"exp":%d,"iat":%d,"iss":%q,"kubernetes.io":{"namespace":"a<b","serviceaccount":{"name":"default"}},"nbf":%[2]d,"sub":"system:serviceaccount:a:default"}`,
		now+int64(lifetime/time.Second), now, issuer)
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// program is a run of the program on the fake.
type program struct {
	client  externaljwt.ExternalJWTSignerClient
	out     *safeBuffer
	end     context.CancelFunc
	status  chan int
	socket  string
	address string // of HTTP
}

type safeBuffer struct {
	sync.Mutex
	bytes.Buffer
	lines chan string
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	b.lines <- string(p)
	return b.Buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.String()
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{
		out: &safeBuffer{lines: make(chan string, 1000)}, status: make(chan int, 1),
		socket: filepath.Join(t.TempDir(), "s.sock"),
	}
	var ctx context.Context
	ctx, p.end = context.WithCancel(context.Background())
	args = append([]string{"-socket", p.socket, "-http", "127.0.0.1:0", "-v"}, args...)
	go func() {
		p.status <- cli.Run(ctx, "k8ssigner", run, args, cli.Stdio{In: strings.NewReader(""), Out: p.out, Err: p.out})
	}()
	t.Cleanup(func() { p.stop(t) })
	for {
		select {
		case line := <-p.out.lines:
			var entry struct{ Msg, Address string }
			json.Unmarshal([]byte(line), &entry)
			switch entry.Msg {
			case "serving HTTP":
				p.address = entry.Address
				continue
			case "serving":
			default:
				continue
			}
		case status := <-p.status:
			t.Fatalf("ended with status %d: %s", status, p.out)
		}
		break
	}
	conn, err := grpc.NewClient("unix:"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p.client = externaljwt.NewExternalJWTSignerClient(conn)
	return p
}

// stop ends the program and checks its status and that the socket is gone.
func (p *program) stop(t *testing.T) {
	t.Helper()
	p.end()
	if status, ok := <-p.status; ok {
		close(p.status)
		if status != 0 {
			t.Errorf("status %d: %s", status, p.out)
		}
		if _, err := os.Lstat(p.socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	}
}

// token assembles a token as kube-apiserver does.
func (p *program) token(t *testing.T, claims string) string {
	t.Helper()
	out, err := p.client.Sign(t.Context(), &externaljwt.SignJWTRequest{Claims: claims})
	if err != nil {
		t.Fatal(err)
	}
	return out.Header + "." + claims + "." + out.Signature
}

func TestSign(t *testing.T) {
	p := start(t)
	compact := p.token(t, claims(time.Hour))
	keys, err := p.client.FetchKeys(t.Context(), &externaljwt.FetchKeysRequest{})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse(compact, func(token *jwt.Token) (any, error) {
		for _, key := range keys.Keys {
			if key.KeyId == token.Header["kid"] {
				return x509.ParsePKIXPublicKey(key.Key)
			}
		}
		return nil, errors.New("unknown kid")
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer))
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Header) != 3 || parsed.Header["typ"] != "JWT" || parsed.Header["alg"] != "ES256" {
		t.Errorf("the header is %v, want alg, kid and typ alone", parsed.Header)
	}
	if since := time.Since(keys.DataTimestamp.AsTime()); since < 0 || since > time.Minute {
		t.Errorf("the data is %v old", since)
	}
	if keys.RefreshHintSeconds < 1 || keys.RefreshHintSeconds > 300 {
		t.Errorf("the refresh hint is %d seconds, want at most -max-age", keys.RefreshHintSeconds)
	}
	metadata, err := p.client.Metadata(t.Context(), &externaljwt.MetadataRequest{})
	if err != nil || metadata.MaxTokenExpirationSeconds != 24*3600-60 {
		t.Errorf("metadata %v, %v, want a day less a minute", metadata, err)
	}
	p.token(t, claims(time.Duration(metadata.MaxTokenExpirationSeconds)*time.Second))

	// A client of OIDC federation, which fetches the JWKS.
	verifier := oidc.NewVerifier(issuer, oidc.NewRemoteKeySet(t.Context(), "http://"+p.address+"/openid/v1/jwks"),
		&oidc.Config{ClientID: "api", SupportedSigningAlgs: []string{"ES256"}})
	if _, err := verifier.Verify(t.Context(), compact); err != nil {
		t.Errorf("go-oidc: %v", err)
	}
	// Neither the token nor its claims are logged, also with -v.
	parts := strings.Split(compact, ".")
	for _, secret := range []string{parts[1], parts[2], "serviceaccount"} {
		if strings.Contains(p.out.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

func TestRefusals(t *testing.T) {
	p := start(t, "-max-lifetime", "1h")
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	long := fmt.Sprintf(`{"exp":%d,"x":%q}`, time.Now().Add(time.Minute).Unix(), strings.Repeat("x", 5000))
	for _, test := range []struct {
		name, claims string
		want         codes.Code
	}{
		{"5,000 bytes", encode(long), codes.OK},
		{"nothing", "", codes.InvalidArgument},
		{"not base64url", "a+b/", codes.InvalidArgument},
		{"padding", base64.URLEncoding.EncodeToString([]byte(`{"exp":1}`)) + "=", codes.InvalidArgument},
		{"a line break", claims(time.Minute)[:8] + "\n" + claims(time.Minute)[8:], codes.InvalidArgument},
		{"not JSON", encode("hello"), codes.InvalidArgument},
		{"not UTF-8", encode(fmt.Sprintf("{\"exp\":%d,\"x\":\"\xff\"}", time.Now().Add(time.Minute).Unix())), codes.InvalidArgument},
		{"not an object", encode("[1]"), codes.InvalidArgument},
		{"null", encode("null"), codes.InvalidArgument},
		{"without exp", encode(`{"sub":"a"}`), codes.InvalidArgument},
		{"expired", claims(-time.Minute), codes.InvalidArgument},
		{"too long", claims(2 * time.Hour), codes.InvalidArgument},
	} {
		out, err := p.client.Sign(t.Context(), &externaljwt.SignJWTRequest{Claims: test.claims})
		if status.Code(err) != test.want {
			t.Errorf("%s: %v, %v, want %s", test.name, out, err, test.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.client.Sign(ctx, &externaljwt.SignJWTRequest{Claims: claims(time.Minute)}); status.Code(err) != codes.Canceled {
		t.Errorf("canceled: %v", err)
	}
}

// world is a signer over a fake KMS in memory, without a socket.
type world struct {
	t    *testing.T
	fake *kmstest.KMS
	s    *signer
}

func newWorld(t *testing.T, spec types.KeySpec, args ...string) (*world, error) {
	t.Helper()
	set, err := parse(append([]string{"-socket", "x", "-alias", "alias/jwt"}, args...), cli.Stdio{Out: io.Discard, Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, fake: kmstest.New()}
	w.point("alias/jwt", w.fake.AddKey(spec))
	w.s, err = newSigner(t.Context(), w.fake, "alias/jwt", set, slog.New(slog.DiscardHandler))
	return w, err
}

func (w *world) point(alias, key string) {
	w.t.Helper()
	_, err := w.fake.CreateAlias(w.t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key})
	if _, exists := errors.AsType[*types.AlreadyExistsException](err); exists {
		_, err = w.fake.UpdateAlias(w.t.Context(), &kms.UpdateAliasInput{AliasName: &alias, TargetKeyId: &key})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// apiserver keeps keys as kube-apiserver does: for as long as the hint says.
type apiserver struct {
	keys map[string]any
	next time.Time
}

func (a *apiserver) refresh(w *world) {
	w.t.Helper()
	if time.Now().Before(a.next) {
		return
	}
	out, err := w.s.FetchKeys(w.t.Context(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	a.next, a.keys = time.Now().Add(time.Duration(out.RefreshHintSeconds)*time.Second), map[string]any{}
	for _, key := range out.Keys {
		if a.keys[key.KeyId], err = x509.ParsePKIXPublicKey(key.Key); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestRotation rotates the key by keyring.Rotate. Each token that lives is
// known to every kube-apiserver, of which each began in another minute and
// never asks before the hint is over.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(t, types.KeySpecEccNistP256)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.s.ring.Run(ctx) }()
		defer func() { stop(); <-done }()
		servers := []*apiserver{{}}
		tokens, kids := map[string]bool{}, map[string]bool{}
		rotate := func(o *keyring.RotateOptions) { o.Timing = w.s.set.ring.Timing }
		step := func(step keyring.Step) {
			t.Helper()
			if _, err := keyring.Rotate(t.Context(), w.fake, "alias/jwt", step, rotate); err != nil {
				t.Fatal(err)
			}
		}
		pass := func(d time.Duration) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Minute) {
				c := claims(23 * time.Hour)
				out, err := w.s.Sign(t.Context(), &externaljwt.SignJWTRequest{Claims: c})
				if err != nil {
					t.Fatal(err)
				}
				if len(servers) < 5 {
					servers = append(servers, &apiserver{})
				}
				newest := out.Header + "." + c + "." + out.Signature
				tokens[newest] = true
				for i, server := range servers {
					server.refresh(w)
					for compact := range tokens {
						if compact != newest && (i > 0 || time.Now().Minute() != 0) {
							continue // judging all of them takes long
						}
						token, err := jwt.Parse(compact, func(token *jwt.Token) (any, error) {
							kid := token.Header["kid"].(string)
							kids[kid] = true
							return server.keys[kid], nil
						}, jwt.WithValidMethods([]string{"ES256"}))
						if errors.Is(err, jwt.ErrTokenExpired) {
							delete(tokens, compact)
						} else if err != nil {
							t.Fatalf("at %v: kube-apiserver %d: a token of kid %v: %v", time.Now(), i, token.Header["kid"], err)
						}
					}
				}
			}
		}
		pass(30 * time.Minute)
		step(keyring.Prepare)
		pass(12 * time.Minute)
		step(keyring.Promote)
		pass(25 * time.Hour)
		step(keyring.Retire)
		pass(30 * time.Minute)
		if len(kids) != 2 {
			t.Errorf("tokens of %d keys were seen, want 2", len(kids))
		}
	})
}

// TestAway has KMS go away and come back. Tokens fail with Unavailable, the
// keys stay, and kube-apiserver is told to keep them for less and less.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(t, types.KeySpecEccNistP256)
		if err != nil {
			t.Fatal(err)
		}
		sign := func() codes.Code {
			_, err := w.s.Sign(t.Context(), &externaljwt.SignJWTRequest{Claims: claims(time.Hour)})
			return status.Code(err)
		}
		revive := w.fake.Inject(kmstest.Match{}, kmstest.Throttle())
		if got := sign(); got != codes.Unavailable {
			t.Errorf("throttled: %s", got)
		}
		revive()
		revive = w.fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Hang())
		if got := sign(); got != codes.DeadlineExceeded {
			t.Errorf("hanging: %s", got)
		}
		revive()
		revive = w.fake.Inject(kmstest.Match{}, kmstest.Reset())
		time.Sleep(time.Hour)
		if err := w.s.ring.Refresh(t.Context()); err == nil {
			t.Error("refreshed without KMS")
		}
		out, err := w.s.FetchKeys(t.Context(), nil)
		if err != nil || len(out.Keys) != 1 || out.RefreshHintSeconds != 5 || time.Since(out.DataTimestamp.AsTime()) < time.Hour {
			t.Errorf("after an hour without KMS: %v, %v", out, err)
		}
		revive()
		if got := sign(); got != codes.OK {
			t.Errorf("again there: %s", got)
		}
	})
}

// TestKeyTypes has the keys that kube-apiserver takes, and others.
func TestKeyTypes(t *testing.T) {
	for spec, alg := range map[types.KeySpec]string{
		types.KeySpecEccNistP256: "ES256", types.KeySpecEccNistP384: "ES384", types.KeySpecEccNistP521: "ES512", types.KeySpecRsa2048: "RS256",
		types.KeySpecEccSecgP256k1: "", types.KeySpecEccNistEdwards25519: "", types.KeySpecMlDsa44: "",
	} {
		w, err := newWorld(t, spec)
		if alg == "" {
			if err == nil || !strings.Contains(err.Error(), "want a key for RS256, ES256, ES384 or ES512") {
				t.Errorf("%s: %v, want it refused", spec, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		out, err := w.s.Sign(t.Context(), &externaljwt.SignJWTRequest{Claims: claims(time.Hour)})
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		header, _ := base64.RawURLEncoding.DecodeString(out.Header)
		if !strings.Contains(string(header), fmt.Sprintf("%q:%q", "alg", alg)) {
			t.Errorf("%s: header %s, want alg %s", spec, header, alg)
		}
		// A next or a signing alias that comes to name a key of another kind:
		// the key is neither published nor does it sign.
		w.point("alias/jwt-next", w.fake.AddKey(types.KeySpecEccNistEdwards25519))
		if err := w.s.ring.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		w.point("alias/jwt", w.fake.AddKey(types.KeySpecEccNistEdwards25519))
		w.s.ring.Refresh(t.Context())
		if keys, err := w.s.FetchKeys(t.Context(), nil); err != nil || len(keys.Keys) != 1 {
			t.Errorf("%s beside Ed25519: %v, %v, want one key", spec, keys, err)
		}
		if again, err := w.s.Sign(t.Context(), &externaljwt.SignJWTRequest{Claims: claims(time.Hour)}); err != nil || again.Header != out.Header {
			t.Errorf("%s: the signing alias names an Ed25519 key: %v, %v, want the old key to sign", spec, again, err)
		}
	}
}

// TestOldKeys verifies a token that kube-apiserver signed with a file, with the
// kid that it gives to it.
func TestOldKeys(t *testing.T) {
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	var kid string
	for _, public := range []any{old.Public(), other.Public()} {
		spki, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		pem.Encode(&file, &pem.Block{Type: "PUBLIC KEY", Bytes: spki})
		if public == old.Public() {
			sum := sha256.Sum256(spki)
			kid = base64.RawURLEncoding.EncodeToString(sum[:])
		}
	}
	name := filepath.Join(t.TempDir(), "old.pem")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "-old-keys", name)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": issuer, "aud": "api", "exp": time.Now().Add(time.Hour).Unix()})
	token.Header["kid"] = kid
	compact, err := token.SignedString(old)
	if err != nil {
		t.Fatal(err)
	}
	verifier := oidc.NewVerifier(issuer, oidc.NewRemoteKeySet(t.Context(), "http://"+p.address+"/openid/v1/jwks"), &oidc.Config{ClientID: "api"})
	if _, err := verifier.Verify(t.Context(), compact); err != nil {
		t.Error(err)
	}
	keys, err := p.client.FetchKeys(t.Context(), &externaljwt.FetchKeysRequest{})
	if err != nil || len(keys.Keys) != 3 {
		t.Errorf("%v, %v, want three keys", keys, err)
	}
}

func TestWeb(t *testing.T) {
	p := start(t)
	p.token(t, claims(time.Hour))
	p.client.Sign(t.Context(), &externaljwt.SignJWTRequest{Claims: "?"})
	get := func(path string) (int, string) {
		t.Helper()
		out, err := http.Get("http://" + p.address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Body.Close()
		body, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		return out.StatusCode, string(body)
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	_, metrics := get("/metrics")
	for _, line := range []string{
		`k8ssigner_requests_total{method="Sign",code="OK"} 1`, `k8ssigner_requests_total{method="Sign",code="InvalidArgument"} 1`,
		`k8ssigner_refreshes_total{result="ok"} 0`, "k8ssigner_refreshed_timestamp_seconds 1", `alg="ES256"} 1`, "k8ssigner_published_keys 1",
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("/metrics lacks %q:\n%s", line, metrics)
		}
	}
	if code, _ := get("/token"); code != 404 {
		t.Errorf("/token: %d", code)
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(file, 0o600); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file: %v", err)
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Error("the file was changed")
	}
	path := filepath.Join(dir, "s")
	first, err := listenUnix(path, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v, %v, want 0640", info.Mode(), err)
	}
	if _, err := listenUnix(path, 0o600); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("in use: %v", err)
	}
	// A process that was killed leaves its socket.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := listenUnix(path, 0o600)
	if err != nil {
		t.Fatalf("stale: %v", err)
	}
	second.Close()
	if _, err := listenUnix(filepath.Join(dir, strings.Repeat("x", 108)), 0o600); err == nil || !strings.Contains(err.Error(), "want at most 107") {
		t.Errorf("a long path: %v", err)
	}
	if _, err := listenUnix(filepath.Join(dir, "missing", "s"), 0o600); err == nil {
		t.Error("a missing directory was accepted")
	}
}

// TestDrain ends the program while a token is being signed. The token is still
// returned.
func TestDrain(t *testing.T) {
	signing, release := make(chan struct{}), make(chan struct{})
	set, err := parse([]string{"-socket", filepath.Join(t.TempDir(), "s")}, cli.Stdio{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := listenUnix(set.socket, set.mode)
	if err != nil {
		t.Fatal(err)
	}
	fake, alias, err := cli.NewFake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSigner(t.Context(), fake, alias, set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		close(signing)
		<-release
		return s.observe(ctx, req, info, handle)
	}))
	s.register(server)
	go func() { served <- untilEnd(ctx, server, listener, set.shutdown, nil) }()
	conn, err := grpc.NewClient("unix:"+set.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := externaljwt.NewExternalJWTSignerClient(conn).Sign(t.Context(), &externaljwt.SignJWTRequest{Claims: claims(time.Hour)})
		answered <- err
	}()
	<-signing
	end()
	select {
	case err := <-served:
		t.Fatalf("ended with a request under way: %v", err)
	default:
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestDrainLimit has a request that does not end. The program ends
// nevertheless.
func TestDrainLimit(t *testing.T) {
	listener, err := listenUnix(filepath.Join(t.TempDir(), "s"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	signing := make(chan struct{})
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		close(signing)
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	(&signer{}).register(server)
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- untilEnd(ctx, server, listener, time.Millisecond, nil) }()
	conn, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go externaljwt.NewExternalJWTSignerClient(conn).Metadata(t.Context(), &externaljwt.MetadataRequest{})
	<-signing
	end()
	if err := <-served; err == nil || !strings.Contains(err.Error(), "did not end within") {
		t.Errorf("%v, want an error about the request under way", err)
	}
}

func TestFlags(t *testing.T) {
	help := &safeBuffer{lines: make(chan string, 1000)}
	if status := cli.Run(t.Context(), "k8ssigner", run, []string{"-h"}, cli.Stdio{Out: help, Err: io.Discard}); status != 0 || !strings.HasPrefix(help.String(), "K8ssigner signs") {
		t.Errorf("-h: status %d, %q", status, help)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                                   "-socket",
		"-socket @s":                         "abstract",
		"-socket s -socket-mode 999":         "octal",
		"-socket s -socket-mode 7777":        "octal",
		"-socket s -max-lifetime 10m":        "at least 11m0s",
		"-socket s -propagation-delay 1m":    "at least -refresh-interval",
		"-socket s -next alias/x":            "for -alias",
		"-socket s -alias 1234":              "want an alias",
		"-socket s -http 0.0.0.0:80":         "loopback",
		"-socket s -http nowhere":            "-http",
		"-socket s -max-in-flight 0":         "more than 0",
		"-socket s -old-keys /does/not":      "no such file",
		"-socket s -old-keys " + empty:       "no PEM block",
		"-socket s -max-age 1ms":             "at least 1s",
		"-socket s -request-timeout 5":       "with its unit",
		"-socket s -alias  alias/x leftover": "unexpected argument",
	} {
		var out bytes.Buffer
		status := cli.Run(t.Context(), "k8ssigner", run, strings.Fields(args), cli.Stdio{Out: io.Discard, Err: &out})
		if status != 2 || !strings.Contains(out.String(), want) {
			t.Errorf("%q: status %d, %q, want 2 and %q", args, status, out.String(), want)
		}
	}
}
