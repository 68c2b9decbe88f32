// Issue issues one JWT signed by a KMS key, verifies it with golang-jwt's stock
// parser, and writes it to standard output.
//
// Without -key it signs with a fake KMS that runs inside the program and is
// reached through the real SDK client, so no AWS account is needed. With -key
// it uses the ordinary AWS configuration: environment, profiles, roles, and
// AWS_ENDPOINT_URL_KMS for an emulator.
//
//	go -C examples run ./issue
//	go -C examples run ./issue -key alias/token-signing -claims claims.json
//	go -C examples run ./issue -key arn:aws:kms:... -known-public-key public.pem
//
// The token goes to standard output, and a report to standard error. A token is
// issued with any claims, even with an exp in the past. The report says whether
// a stock parser would accept them. The exit status is 0, 2 for a wrong command
// line, and 1 for any other failure.
package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func main() { cli.Main("issue", run) }

const about = `
Issue issues one JWT signed by a KMS key and writes it to standard output. It verifies the token with golang-jwt first. Without -key it signs with a new key on an embedded fake KMS, and needs no AWS account.

  issue -alg RS256
  issue -key alias/token-signing -claims claims.json
`

// algs are the choices of -alg.
var algs = cli.SignaturesAndMACs

// request is what the command line asks for.
type request struct {
	key     string
	method  *jwtkms.SigningMethod // nil: what the key calls for
	claims  string
	pub     *cli.Output      // nil: none
	known   crypto.PublicKey // nil: ask KMS
	raw     bool
	timeout time.Duration
}

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	req, err := parse(args, stdio)
	if err != nil {
		return err
	}
	defer req.pub.Discard()
	ctx, cancel := context.WithTimeout(ctx, req.timeout)
	defer cancel()
	token, report, err := issue(ctx, req, stdio.In)
	if err != nil {
		return err
	}
	io.WriteString(stdio.Err, report)
	_, err = fmt.Fprintln(stdio.Out, token)
	return err
}

func parse(args []string, stdio cli.Stdio) (request, error) {
	var req request
	flags := cli.NewFlags("issue", stdio)
	flags.About = about
	flags.StringVar(&req.key, "key", "", "key `ID`, key ARN, alias name or alias ARN; none: a key on the embedded fake KMS")
	alg := flags.String("alg", "", "JWT `algorithm`: "+algs.String()+" (default: what the key calls for; ES256 on the fake)")
	flags.StringVar(&req.claims, "claims", "", "`file` with the claims, a JSON object; - is standard input; none: a small sample")
	pub := flags.String("public-key", "", "`file` to write the public key to, as PEM")
	known := flags.String("known-public-key", "", "`file` to read the public key of -key from, which must be a full key ARN; PEM or DER, as -public-key and \"aws kms get-public-key\" write it; none: ask KMS")
	flags.BoolVar(&req.raw, "raw", false, "let KMS hash what is signed (MessageType RAW) if it has at most 4096 bytes; not for HMAC keys")
	flags.PositiveVar(&req.timeout, "timeout", 15*time.Second, "give up after this `time`")
	if err := flags.Parse(args); err != nil {
		return req, err
	}
	var err error
	if req.method, err = algs.Parse(*alg); err != nil {
		return req, cli.Usage(err)
	}
	isHMAC := req.method != nil && strings.HasPrefix(req.method.Alg(), "HS")
	switch {
	case *known != "" && req.key == "":
		return req, cli.Usage(errors.New("-known-public-key is given without -key, want the full ARN of its key"))
	case *known != "" && isHMAC:
		return req, cli.Usage(fmt.Errorf("-known-public-key is given with -alg %s, and an HMAC key has no public key", req.method.Alg()))
	case *pub != "" && isHMAC:
		return req, cli.Usage(fmt.Errorf("-public-key is given with -alg %s, and an HMAC key has no public key", req.method.Alg()))
	case req.raw && isHMAC:
		return req, cli.Usage(fmt.Errorf("-raw is given with -alg %s, and KMS takes a message for a MAC in one way only", req.method.Alg()))
	}
	for _, in := range []string{req.claims, *known} {
		if *pub != "" && cli.SameFile(*pub, in) {
			return req, cli.Usage(fmt.Errorf("-public-key is %s, which is also read", *pub))
		}
	}
	if *known != "" {
		if req.known, err = readPublicKey(*known); err != nil {
			return req, fmt.Errorf("-known-public-key: %w", err)
		}
	}
	if *pub != "" {
		if req.pub, err = cli.CreateOutput(*pub); err != nil {
			return req, fmt.Errorf("-public-key: %w", err)
		}
	}
	return req, nil
}

// readPublicKey reads a SubjectPublicKeyInfo in PEM or DER.
func readPublicKey(file string) (crypto.PublicKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("%s has a PEM block of type %q, want PUBLIC KEY", file, block.Type)
		}
		data = block.Bytes
	}
	return kmssigner.ParsePKIXPublicKey(data)
}

// issue reads the claims and returns a verified token and a report of what was
// done. It writes the -public-key file last, so that a failure leaves nothing
// half done.
func issue(ctx context.Context, req request, stdin io.Reader) (token, report string, err error) {
	claims, err := readClaims(ctx, req.claims, stdin)
	if err != nil {
		return "", "", err
	}
	client, keyID, closeClient, err := open(ctx, req)
	if err != nil {
		return "", "", err
	}
	defer closeClient()

	start := time.Now()
	calls := &counter{client: client}
	key, err := openKey(ctx, calls, keyID, req)
	if err != nil {
		return "", "", err
	}
	switch {
	case req.pub != nil && key.public == nil:
		return "", "", errors.New("-public-key: an HMAC key has no public key")
	case req.raw && key.public == nil:
		return "", "", errors.New("-raw: KMS takes a message for a MAC in one way only")
	}
	method := req.method
	if method == nil {
		if method, err = jwtkms.MethodFor(key.methodKey()); err != nil {
			return "", "", err
		}
	}
	unsigned := jwt.NewWithClaims(method, claims)
	unsigned.Header["kid"] = key.kid
	token, err = unsigned.SignedString(key.sign)
	if err != nil {
		return "", "", err
	}
	signed := calls.String()
	took := time.Since(start)

	verified, err := verify(token, method, key)
	if err != nil {
		return "", "", fmt.Errorf("the token does not verify: %w", err)
	}
	if req.pub != nil {
		spki, err := kmssigner.MarshalPKIXPublicKey(key.public)
		if err != nil {
			return "", "", fmt.Errorf("-public-key: %w", err)
		}
		block := &pem.Block{Type: "PUBLIC KEY", Bytes: spki}
		if err := req.pub.Commit(pem.EncodeToMemory(block)); err != nil {
			return "", "", fmt.Errorf("-public-key: %w", err)
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "key\t%s\n", key.arn)
	fmt.Fprintf(w, "alg\t%s\n", method.Alg())
	fmt.Fprintf(w, "kid\t%s\n", key.kid)
	fmt.Fprintf(w, "KMS calls\t%s, in %v\n", signed, took.Round(100*time.Microsecond))
	fmt.Fprintf(w, "signature\t%s\n", verified)
	fmt.Fprintf(w, "claims\t%s\n", judgeClaims(token))
	w.Flush()
	return token, b.String(), nil
}

// key is what a token is signed with and verified by.
type key struct {
	arn    string
	kid    string
	sign   any              // for golang-jwt: a Signer or an HMAC, bound to the context
	public crypto.PublicKey // nil if it is an HMAC key
}

// methodKey returns the key in the form that jwtkms.MethodFor takes.
func (k key) methodKey() any {
	if k.public == nil {
		return k.sign
	}
	return k.public
}

// openKey opens any key that KMS can sign a token with. A key ID does not tell
// the type of the key, so openKey asks for a public key first. KMS refuses that
// for an HMAC key.
func openKey(ctx context.Context, client kmsClient, keyID string, req request) (key, error) {
	if req.method != nil && strings.HasPrefix(req.method.Alg(), "HS") {
		return openHMAC(ctx, client, keyID)
	}
	signer, err := kmssigner.New(ctx, client, keyID, func(o *kmssigner.Options) {
		o.PreferRaw, o.PublicKey = req.raw, req.known
	})
	if _, ok := errors.AsType[*types.UnsupportedOperationException](err); ok && req.method == nil {
		return openHMAC(ctx, client, keyID)
	}
	if err != nil {
		return key{}, err
	}
	kid, err := jwtkms.Thumbprint(signer.Public())
	return key{arn: signer.KeyARN(), kid: kid, sign: signer.WithContext(ctx), public: signer.Public()}, err
}

func openHMAC(ctx context.Context, client kmsClient, keyID string) (key, error) {
	mac, err := kmssigner.NewHMAC(ctx, client, keyID)
	if err != nil {
		return key{}, err
	}
	// A thumbprint needs the key itself. The key ID identifies the key too and,
	// unlike the ARN, does not reveal the Region and the account.
	kid := mac.KeyARN()[strings.LastIndex(mac.KeyARN(), "/")+1:]
	return key{arn: mac.KeyARN(), kid: kid, sign: mac.WithContext(ctx)}, nil
}

// readClaims reads one JSON object. It keeps numbers as they are written,
// because an integer over 2^53 would lose digits as a float64.
func readClaims(ctx context.Context, file string, stdin io.Reader) (jwt.MapClaims, error) {
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
		data, err = readAll(ctx, stdin)
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
		return nil, fmt.Errorf("claims: %s is not a JSON object: %w", file, err)
	}
	if claims == nil {
		return nil, fmt.Errorf("claims: %s is null, want a JSON object", file)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("claims: %s has more after the JSON object", file)
	}
	return claims, nil
}

// readAll reads all of r. It returns an error when ctx ends, because standard
// input has no deadline of its own.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(r)
		done <- result{data, err}
	}()
	select {
	case got := <-done:
		return got.data, got.err
	case <-ctx.Done():
		return nil, fmt.Errorf("standard input: %w", ctx.Err())
	}
}

// open returns a client and the ID of the key to sign with. Without -key they
// are those of a fake KMS, which listens on a loopback port until close is
// called.
func open(ctx context.Context, req request) (client kmsClient, keyID string, close func(), err error) {
	if req.key == "" {
		fake := kmstest.New()
		server := kmstest.NewServer(fake)
		return server.Client(), fake.AddKey(algs.SpecFor(req.method)), server.Close, nil
	}
	cfg, err := cli.LoadConfig(ctx, cli.RegionOf(req.key), "give -key an ARN")
	if err != nil {
		return nil, "", nil, err
	}
	return kms.NewFromConfig(cfg), req.key, func() {}, nil
}

// verify checks the signature as a receiver of the token would, who knows the
// algorithm to expect and the key. It returns what the signature was verified
// by.
func verify(token string, method *jwtkms.SigningMethod, key key) (by string, err error) {
	by = "verified by golang-jwt's stock parser with the public key alone"
	keyfunc := func(*jwt.Token) (any, error) { return key.public, nil }
	switch {
	case key.public == nil:
		by = "verified by golang-jwt's stock parser with one VerifyMac call"
		keyfunc = method.Keyfunc(key.sign)
	case jwt.GetSigningMethod(method.Alg()) == nil:
		by = "verified by golang-jwt's stock parser with jwtkms registered and the public key alone"
		if err := jwtkms.Register(); err != nil {
			return "", err
		}
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{method.Alg()}), jwt.WithoutClaimsValidation(), jwt.WithJSONNumber())
	_, err = parser.Parse(token, keyfunc)
	return by, err
}

// judgeClaims says whether golang-jwt's stock parser, without options, would
// accept the claims now. The token has been verified, so its method is
// registered.
func judgeClaims(token string) string {
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err == nil {
		err = jwt.NewValidator().Validate(parsed.Claims)
	}
	if err != nil {
		return "would be refused by golang-jwt's stock parser now: " + strings.ReplaceAll(err.Error(), "\n", ": ")
	}
	text := "would pass golang-jwt's stock parser now, which does not look at iss, sub and aud"
	if exp, err := parsed.Claims.GetExpirationTime(); err == nil && exp == nil {
		text += "; without exp the token never expires"
	}
	return text
}
