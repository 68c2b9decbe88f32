// Sign signs any file with a KMS key, or verifies a signature.
//
// Without -key it signs with a fake KMS that runs inside the program and is
// reached through the real SDK client, so no AWS account is needed. With -key
// it uses the ordinary AWS configuration: environment, profiles, roles, and
// AWS_ENDPOINT_URL_KMS for an emulator. Signing needs the permissions
// kms:GetPublicKey and kms:Sign, verifying kms:GetPublicKey, and verifying with
// -remote kms:Verify as well.
//
//	go -C examples run ./sign -in FILE -out FILE.sig -public-key pub.pem
//	openssl dgst -sha256 -verify pub.pem -signature FILE.sig FILE
//
//	go -C examples run ./sign -key alias/release -in FILE -out FILE.sig
//	go -C examples run ./sign -key alias/release -in FILE -verify FILE.sig
//
// # What is signed
//
// RSA and ECDSA keys sign the hash of the input. It is computed here as the
// input is read, so the input may have any size, and none of it is sent to AWS.
// With -digest the input is the hash itself, in binary. With -raw KMS computes
// it, from an input of 1 to 4096 bytes.
//
// An Ed25519 key signs the input itself, which KMS limits to 1 to 4096 bytes.
// To sign a larger file, sign its hash as the input. An ML-DSA key signs an
// input of any size, which is kept in memory, because the signature could not
// be verified otherwise. Both refuse -digest.
//
// # Algorithms
//
// -alg takes the names that KMS has. An RSA key signs by
// RSASSA_PKCS1_V1_5_SHA_256 unless -alg names another. Every other key has one
// algorithm. -hash replaces the hash of an ECDSA key's algorithm, so that a key
// on P-384 signs a SHA-256 digest, for example. In KMS and CloudTrail such a
// signature has the algorithm of the curve.
//
// # Output
//
// The signature goes to -out in binary: DER for ECDSA, and the bytes that RFC
// 8017, RFC 8032 and FIPS 204 define for RSA, Ed25519 and ML-DSA. -format
// changes that. Each signature is verified with the public key first, and
// nothing is written to any file unless it is good. -v reports to standard
// error what was done, and -json to standard output in place of the signature.
//
// The exit status is 0, 2 for a wrong command line, and 1 for any other
// failure, such as a signature that does not verify.
package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func main() { cli.Main("sign", run) }

const about = `
Sign signs any file with a KMS key and writes the signature, which it verifies first. With -verify it verifies a signature instead. Without -key it signs with a new key on an embedded fake KMS, and needs no AWS account.

  sign -key alias/release -in FILE -out FILE.sig -public-key pub.pem
  sign -key alias/release -in FILE -verify FILE.sig
  openssl dgst -sha256 -verify pub.pem -signature FILE.sig FILE
`

// request is what the command line asks for.
type request struct {
	key       string
	in        string // empty: standard input
	out       string // empty: standard output
	publicKey string // empty: none
	verify    string // file with a signature; empty: sign
	remote    bool
	alg       algorithm // zero: what the key calls for
	hash      namedHash // zero: that of the algorithm
	digest    bool
	raw       bool
	format    format
	verbose   bool
	json      bool
	timeout   time.Duration
}

func parse(args []string, stdio cli.Stdio) (request, error) {
	var req request
	flags := cli.NewFlags("sign", stdio)
	flags.About = about
	flags.StringVar(&req.key, "key", "", "key `ID`, key ARN, alias name or alias ARN; none: a key on the embedded fake KMS")
	flags.StringVar(&req.in, "in", "", "`file` to sign; none or -: standard input")
	flags.StringVar(&req.out, "out", "", "`file` to write the signature to; none or -: standard output")
	alg := flags.String("alg", "", "KMS `algorithm`: "+algorithmNames()+" (default: what the key calls for, RSASSA_PKCS1_V1_5_SHA_256 for RSA keys, and ECDSA_SHA_256 on the fake)")
	hash := flags.String("hash", "", "`hash` of an ECDSA signature, whatever the curve: "+hashNames()+" (default: that of the algorithm)")
	flags.BoolVar(&req.digest, "digest", false, "the input is the digest, in binary, of what is to be signed")
	flags.BoolVar(&req.raw, "raw", false, "send the input itself, 1 to 4096 bytes, to KMS (MessageType RAW)")
	formatText := flags.String("format", "", "`format` of the signature: der or p1363 (R and S, as in JOSE) for ECDSA keys, and base64 or hex; or one of each, such as p1363,hex (default: binary, DER for ECDSA)")
	flags.StringVar(&req.verify, "verify", "", "`file` with a signature, in the -format given, to verify instead of signing; -: standard input")
	flags.BoolVar(&req.remote, "remote", false, "with -verify: let KMS verify, with kms:Verify, instead of the public key")
	flags.StringVar(&req.publicKey, "public-key", "", "`file` to write the public key to as well, as PEM")
	flags.BoolVar(&req.verbose, "v", false, "report the key, the algorithm and the digest to standard error")
	flags.BoolVar(&req.json, "json", false, "write that report to standard output as JSON, with the signature in it")
	flags.PositiveVar(&req.timeout, "timeout", 15*time.Second, "give up a KMS call after this `time`, retries included")
	if err := flags.Parse(args); err != nil {
		return req, err
	}
	for _, name := range []*string{&req.in, &req.out} {
		if *name == "-" {
			*name = ""
		}
	}
	var err error
	if req.alg, err = parseAlgorithm(*alg); err != nil {
		return req, cli.Usage(err)
	}
	if req.hash, err = parseHash(*hash); err != nil {
		return req, cli.Usage(err)
	}
	if req.format, err = parseFormat(*formatText); err != nil {
		return req, cli.Usage(err)
	}
	if err := req.check(stdio); err != nil {
		return req, cli.Usage(err)
	}
	return req, nil
}

// check returns an error unless the flags go together.
func (req request) check(stdio cli.Stdio) error {
	switch {
	case req.raw && req.digest:
		return errors.New("-raw and -digest are both given, want at most one")
	case req.raw && req.hash.name != "":
		return errors.New("-raw and -hash are both given, but KMS hashes with the hash of the algorithm only")
	case req.hash.name != "" && req.alg.name != "" && !req.alg.ecdsa():
		return fmt.Errorf("-hash is for ECDSA keys, and -alg is %s", req.alg.name)
	case req.format.ecdsa != "" && req.alg.name != "" && !req.alg.ecdsa():
		return fmt.Errorf("-format %s is for ECDSA keys, and -alg is %s", req.format.ecdsa, req.alg.name)
	case req.digest && req.alg.name != "" && req.alg.hash == 0:
		return fmt.Errorf("-digest is given, but %s signs the input itself", req.alg.name)
	case req.json && req.verbose:
		return errors.New("-v and -json are both given, want at most one")
	case req.verify == "" && req.out == "" && !req.json && req.format.text == "" && cli.IsTerminal(stdio.Out):
		return errors.New("the signature is binary and standard output is a terminal: give -out, -format base64 or -json")
	}
	if req.verify == "" {
		if req.remote {
			return errors.New("-remote is for -verify")
		}
		return req.checkFiles()
	}
	switch {
	case req.key == "":
		return errors.New("-verify is given without -key")
	case req.out != "":
		return errors.New("-out is for signing, and -verify is given")
	case req.verify == "-" && req.in == "":
		return errors.New("-verify is standard input, so -in must name a file")
	case req.raw && !req.remote:
		return errors.New("-raw goes with -verify only if -remote is given: nothing is sent to KMS otherwise")
	}
	return req.checkFiles()
}

// checkFiles returns an error if a file is written that is also read, or is
// written twice.
func (req request) checkFiles() error {
	type file struct{ flag, path string }
	var seen []file
	for _, f := range []file{{"-in", req.in}, {"-verify", req.verify}, {"-out", req.out}, {"-public-key", req.publicKey}} {
		if f.path == "" || f.path == "-" {
			continue
		}
		for _, other := range seen {
			if cli.SameFile(f.path, other.path) {
				return fmt.Errorf("%s and %s are both %s", other.flag, f.flag, f.path)
			}
		}
		seen = append(seen, f)
	}
	return nil
}

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	req, err := parse(args, stdio)
	if err != nil {
		return err
	}
	// All files are opened before any work is done.
	in, err := openInput(req.in, stdio)
	if err != nil {
		return fmt.Errorf("-in: %w", err)
	}
	defer in.Close()
	given, err := readSignature(ctx, req.verify, stdio.In)
	if err != nil {
		return fmt.Errorf("-verify: %w", err)
	}
	var out, publicKey *cli.Output
	if req.out != "" {
		if out, err = cli.CreateOutput(req.out); err != nil {
			return fmt.Errorf("-out: %w", err)
		}
		defer out.Discard()
	}
	if req.publicKey != "" {
		if publicKey, err = cli.CreateOutput(req.publicKey); err != nil {
			return fmt.Errorf("-public-key: %w", err)
		}
		defer publicKey.Discard()
	}

	key, closeKey, err := openKey(ctx, req)
	if err != nil {
		return err
	}
	defer closeKey()
	act := key.sign
	if req.verify != "" {
		act = func(ctx context.Context, in input) (*report, error) { return key.verify(ctx, in, given) }
	}
	rep, err := act(ctx, in)
	if err != nil {
		return err
	}

	if publicKey != nil {
		spki, err := kmssigner.MarshalPKIXPublicKey(key.signer.Public())
		if err != nil {
			return fmt.Errorf("-public-key: %w", err)
		}
		if err := publicKey.Commit(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})); err != nil {
			return fmt.Errorf("-public-key: %w", err)
		}
	}
	if out != nil {
		if err := out.Commit(rep.encoded); err != nil {
			return fmt.Errorf("-out: %w", err)
		}
	}
	if req.verbose {
		if _, err := io.WriteString(stdio.Err, rep.table()); err != nil {
			return err
		}
	}
	switch {
	case req.json:
		_, err = stdio.Out.Write(rep.json())
	case req.verify != "":
		_, err = fmt.Fprintf(stdio.Out, "good signature by %s\n", rep.Key)
	case out == nil:
		_, err = stdio.Out.Write(rep.encoded)
	}
	return err
}

// openKey returns the key that the command line names, or a new one on a fake
// KMS that listens on a loopback port until close is called.
func openKey(ctx context.Context, req request) (k *key, close func(), err error) {
	var client *kms.Client
	keyID, close := req.key, func() {}
	if keyID == "" {
		fake := kmstest.New()
		server := kmstest.NewServer(fake)
		client, keyID, close = server.Client(), fake.AddKey(req.alg.fakeSpec()), server.Close
	} else {
		cfg, err := cli.LoadConfig(ctx, cli.RegionOf(keyID), "give -key an ARN")
		if err != nil {
			return nil, nil, err
		}
		client = kms.NewFromConfig(cfg)
	}
	if k, err = newKey(ctx, client, keyID, req); err != nil {
		close()
		return nil, nil, err
	}
	return k, close, nil
}
