package recordings

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/kmssign/kmssign/internal/pkcs8"
)

// Answer is the HTTP response to a call.
type Answer struct {
	Status int
	Body   []byte
}

// Target is where the calls of a recording go.
type Target struct {
	Account, Region string

	// Call makes a call in a Region. The body is JSON.
	Call func(ctx context.Context, region, operation string, body []byte) (Answer, error)
}

// Row is a call whose answer is recorded.
type Row struct {
	Operation string
	Input     string
	Got       Answer

	// Problem is how the answer differs from the recorded one. It is empty if
	// they agree.
	Problem string

	// Reason is why the fake differs on purpose, or empty.
	Reason string

	line   int    // of the recorded answer, in the lines of the recording
	day    string // of the recording
	target Target
}

// Replay makes the calls of a recording and compares the answers. It returns
// the rows that it got to if a call has no answer.
func (r *Recording) Replay(ctx context.Context, target Target) ([]Row, error) {
	p := &player{Recording: r, target: target, values: map[string]string{}}
	for name, value := range r.vars {
		p.values[name] = value
	}
	for i, line := range r.lines {
		if err := p.play(ctx, i, line); err != nil {
			return p.rows, fmt.Errorf("%s: %s: %w", r.Test, line, err)
		}
	}
	return p.rows, p.judge()
}

// player replays a recording.
type player struct {
	*Recording
	target Target
	values map[string]string // of variables
	rows   []Row

	last   Row    // whose answer is not compared yet
	want   string // the line "ok" or "no", or empty
	length string
}

// play does what a line says.
func (p *player) play(ctx context.Context, i int, line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "define", "set", "call", "wrap":
		if err := p.judge(); err != nil {
			return err
		}
	}
	switch verb {
	case "define":
		name, text, _ := strings.Cut(rest, " ")
		p.values[name] = text
	case "set":
		name, rest, _ := strings.Cut(rest, " ")
		at := strings.LastIndex(rest, " ")
		if err := p.call(ctx, rest[:at]); err != nil {
			return err
		}
		return p.keep(name, rest[at+1:])
	case "call":
		return p.call(ctx, rest)
	case "keep":
		name, member, _ := strings.Cut(rest, " ")
		return p.keep(name, member)
	case "wrap":
		name, spec, _ := strings.Cut(rest, " ")
		return p.wrap(name, spec)
	case "ok", "no":
		var err error
		p.want, err = p.expand(line)
		p.last.line = i
		return err
	case "length":
		p.length = rest
	case "differs":
		p.last.Reason = rest
	case "aliases":
		n, err := strconv.Atoi(rest)
		for i := range n {
			if err := p.call(ctx, fmt.Sprintf(`CreateAlias {"AliasName":"alias/recording-%d","TargetKeyId":"$key"}`, i)); err != nil {
				return err
			}
		}
		return err
	default:
		return fmt.Errorf("unknown verb %q", verb)
	}
	return nil
}

// expand is expand with the account and the Region of the target.
func (p *player) expand(s string) (string, error) {
	s, err := expand(s, p.values)
	return strings.NewReplacer(Account, p.target.Account, Region, p.target.Region).Replace(s), err
}

func (p *player) call(ctx context.Context, line string) error {
	line, err := p.expand(line)
	if err != nil {
		return err
	}
	operation, body, _ := strings.Cut(line, " ")
	operation, region, ok := strings.Cut(operation, "@")
	if !ok {
		region = p.target.Region
	}
	p.last = Row{Operation: operation, Input: body, day: p.Day, target: p.target}
	p.last.Got, err = p.target.Call(ctx, region, operation, []byte(body))
	return err
}

// keep keeps a member of the last answer.
func (p *player) keep(name, path string) error {
	var v any
	if err := json.Unmarshal(p.last.Got.Body, &v); err != nil {
		return fmt.Errorf("%w in %s", err, p.last.Got.Body)
	}
	for member := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("no %s in %s", path, p.last.Got.Body)
		}
		v = m[member]
	}
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("no %s in %s", path, p.last.Got.Body)
	}
	p.values[name] = text
	return nil
}

// wrap keeps new key material for a spec, encrypted by RSAES_OAEP_SHA_256 with
// the key $public.
func (p *player) wrap(name, spec string) error {
	spec, err := p.expand(spec)
	if err != nil {
		return err
	}
	secret, err := newMaterial(spec)
	if err != nil {
		return err
	}
	der, err := base64.StdEncoding.DecodeString(p.values["public"])
	if err != nil {
		return err
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return err
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("the wrapping key is a %T", public)
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key, secret, nil)
	p.values[name] = base64.StdEncoding.EncodeToString(wrapped)
	return err
}

// newMaterial returns new key material for a spec, as ImportKeyMaterial takes
// it.
func newMaterial(spec string) ([]byte, error) {
	curves := map[string]elliptic.Curve{"ECC_NIST_P256": elliptic.P256(), "ECC_NIST_P384": elliptic.P384(), "ECC_NIST_P521": elliptic.P521()}
	var private crypto.PrivateKey
	switch curve := curves[spec]; {
	case curve != nil:
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return nil, err
		}
		private = key
	case spec == "ECC_SECG_P256K1":
		key, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			return nil, err
		}
		private = key.ToECDSA()
	default:
		bits := 256 // SYMMETRIC_DEFAULT
		if rest, ok := strings.CutPrefix(spec, "HMAC_"); ok {
			var err error
			if bits, err = strconv.Atoi(rest); err != nil {
				return nil, err
			}
		}
		secret := make([]byte, bits/8)
		rand.Read(secret)
		return secret, nil
	}
	return pkcs8.Marshal(private)
}

// judge compares the last answer with the recorded one, if there is one.
func (p *player) judge() error {
	if p.want == "" {
		return nil
	}
	var err error
	p.last.Problem, err = p.last.compare(p.want, p.length)
	p.rows = append(p.rows, p.last)
	p.want, p.length = "", ""
	return err
}
