// Issue issues one JWT signed by a KMS key, verifies it with golang-jwt's stock
// parser, and writes it to standard output.
//
// Without -key it signs with a fake KMS that runs inside the program and is
// reached through the real SDK client: no AWS account is needed. With -key it
// uses the ordinary AWS configuration: environment, profiles, roles, and
// AWS_ENDPOINT_URL_KMS for an emulator.
//
//	go -C examples run ./issue
//	go -C examples run ./issue -key alias/token-signing -claims claims.json
//
// The token goes to standard output; what was done goes to standard error. The
// exit status is 0, 2 for a wrong command line, and 1 for any other failure.
package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/logging"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// algs has every -alg, and the key that the fake KMS makes for it.
var algs = []struct {
	method *jwtkms.SigningMethod
	spec   types.KeySpec
}{
	{jwtkms.ES256, types.KeySpecEccNistP256},
	{jwtkms.ES384, types.KeySpecEccNistP384},
	{jwtkms.ES512, types.KeySpecEccNistP521},
	{jwtkms.RS256, types.KeySpecRsa2048},
	{jwtkms.RS384, types.KeySpecRsa2048},
	{jwtkms.RS512, types.KeySpecRsa2048},
	{jwtkms.PS256, types.KeySpecRsa2048},
	{jwtkms.PS384, types.KeySpecRsa2048},
	{jwtkms.PS512, types.KeySpecRsa2048},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// request is what the command line asks for.
type request struct {
	key     string
	method  *jwtkms.SigningMethod // nil: what the key calls for
	claims  string
	pub     string
	raw     bool
	timeout time.Duration
}

// errUsage stands for an error that the flag package has reported already.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	req, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "issue: %v\n", err)
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, req.timeout)
	defer cancel()
	token, report, err := issue(ctx, req, stdin)
	if err != nil {
		// Joined errors span lines; here they share one.
		fmt.Fprintf(stderr, "issue: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	io.WriteString(stderr, report)
	if _, err := fmt.Fprintln(stdout, token); err != nil {
		fmt.Fprintf(stderr, "issue: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (request, error) {
	var req request
	flags := flag.NewFlagSet("issue", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&req.key, "key", "", "key `ID`, key ARN, alias name or alias ARN; none: a key on the embedded fake KMS")
	alg := flags.String("alg", "", "JWT `algorithm`: "+strings.Join(algNames(), ", ")+" (default: what the key calls for; ES256 on the fake)")
	flags.StringVar(&req.claims, "claims", "", "`file` with the claims, a JSON object; - is standard input; none: a small sample")
	flags.StringVar(&req.pub, "pub", "", "`file` to write the public key to, as PEM")
	flags.BoolVar(&req.raw, "raw", false, "let KMS do the hashing (MessageType RAW) where the token fits in 4096 bytes")
	flags.DurationVar(&req.timeout, "timeout", 15*time.Second, "give up after this `time`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return req, err
		}
		return req, errUsage
	}
	if flags.NArg() > 0 {
		return req, fmt.Errorf("unexpected argument %q; the flags are listed by -h", flags.Arg(0))
	}
	if req.timeout <= 0 {
		return req, fmt.Errorf("-timeout is %v, want more than 0", req.timeout)
	}
	if *alg == "" {
		return req, nil
	}
	for _, a := range algs {
		if a.method.Alg() == *alg {
			req.method = a.method
			return req, nil
		}
	}
	return req, fmt.Errorf("unknown -alg %q, want one of %s", *alg, strings.Join(algNames(), ", "))
}

func algNames() []string {
	var names []string
	for _, a := range algs {
		names = append(names, a.method.Alg())
	}
	return names
}

// issue does the work: claims in, verified token out, and a report of what was
// done. It has no output of its own but the -pub file, so a failure leaves
// nothing half done.
func issue(ctx context.Context, req request, stdin io.Reader) (token, report string, err error) {
	claims, err := readClaims(req.claims, stdin)
	if err != nil {
		return "", "", err
	}
	client, keyID, closeClient, err := open(ctx, req)
	if err != nil {
		return "", "", err
	}
	defer closeClient()

	start := time.Now()
	calls := &counter{Client: client}
	signer, err := kmssigner.New(ctx, calls, keyID, func(o *kmssigner.Options) { o.PreferRaw = req.raw })
	if err != nil {
		return "", "", err
	}
	method := req.method
	if method == nil {
		if method, err = jwtkms.MethodFor(signer.Public()); err != nil {
			return "", "", err
		}
	}
	kid, err := jwtkms.Thumbprint(signer.Public())
	if err != nil {
		return "", "", err
	}
	unsigned := jwt.NewWithClaims(method, claims)
	unsigned.Header["kid"] = kid
	token, err = unsigned.SignedString(signer.WithContext(ctx))
	if err != nil {
		return "", "", err
	}
	took := time.Since(start)

	if err := verify(token, method.Alg(), signer.Public()); err != nil {
		return "", "", fmt.Errorf("the token does not verify: %w", err)
	}
	if req.pub != "" {
		if err := writePublicKey(req.pub, signer.Public()); err != nil {
			return "", "", err
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "key\t%s\n", signer.KeyARN())
	fmt.Fprintf(w, "alg\t%s\n", method.Alg())
	fmt.Fprintf(w, "kid\t%s\n", kid)
	fmt.Fprintf(w, "KMS calls\t%d GetPublicKey, %d Sign, in %v\n",
		calls.getPublicKey.Load(), calls.sign.Load(), took.Round(100*time.Microsecond))
	fmt.Fprintf(w, "verified\tyes, by golang-jwt's stock parser with the public key alone\n")
	w.Flush()
	return token, b.String(), nil
}

// readClaims reads one JSON object. Numbers stay as they are written: an
// integer over 2^53 would lose digits as a float64.
func readClaims(file string, stdin io.Reader) (jwt.MapClaims, error) {
	var data []byte
	var err error
	switch file {
	case "":
		now := time.Now()
		return jwt.MapClaims{
			"iss": "https://issuer.example",
			"sub": "alice",
			"iat": now.Unix(),
			"exp": now.Add(time.Hour).Unix(),
		}, nil
	case "-":
		file = "standard input"
		data, err = io.ReadAll(stdin)
	default:
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	var claims jwt.MapClaims
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&claims); err != nil {
		return nil, fmt.Errorf("claims: %s is no JSON object: %w", file, err)
	}
	if claims == nil {
		return nil, fmt.Errorf("claims: %s is null, want a JSON object", file)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("claims: %s has more after the JSON object", file)
	}
	return claims, nil
}

// open returns a client and the key to sign with: the user's, or a new one on a
// fake KMS that listens on a loopback port until close is called.
func open(ctx context.Context, req request) (client kmssigner.Client, keyID string, close func(), err error) {
	if req.key == "" {
		fake := kmstest.New()
		server := kmstest.NewServer(fake)
		spec := algs[0].spec
		for _, a := range algs {
			if a.method == req.method {
				spec = a.spec
			}
		}
		return server.Client(), fake.AddKey(spec), server.Close, nil
	}
	// The SDK's warnings would stand beside the one line of an error.
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, "", nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		// KMS finds a key in its own Region only, and an ARN names it.
		named, err := arn.Parse(req.key)
		if err != nil {
			return nil, "", nil, errors.New("no AWS Region: set AWS_REGION, choose a profile that has one, or give -key an ARN")
		}
		cfg.Region = named.Region
	}
	return kms.NewFromConfig(cfg), req.key, func() {}, nil
}

// verify does what a receiver of the token would do: it knows the algorithm it
// expects and the public key, and uses nothing of this module. Whether the
// claims hold at this time is the receiver's to judge, not the issuer's.
func verify(token, alg string, pub crypto.PublicKey) error {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithoutClaimsValidation())
	_, err := parser.Parse(token, func(*jwt.Token) (any, error) { return pub, nil })
	return err
}

func writePublicKey(file string, pub crypto.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644)
}

// counter counts the calls that reach a Client.
type counter struct {
	kmssigner.Client
	getPublicKey, sign atomic.Int64
}

func (c *counter) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	c.getPublicKey.Add(1)
	return c.Client.GetPublicKey(ctx, in, optFns...)
}

func (c *counter) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	c.sign.Add(1)
	return c.Client.Sign(ctx, in, optFns...)
}
