package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha3"
	_ "crypto/sha512" // for crypto.SHA384.New and crypto.SHA512.New
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"sync"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/kmssign/kmssign/internal/secp256k1"
)

// CheckSigner checks that a signer keeps the promises of [crypto.Signer], and of
// [crypto.MessageSigner] if it is one, on which crypto/x509, crypto/tls and JOSE
// libraries rely. It returns every violation that it found, each with what was
// expected and why, joined as by [errors.Join], or nil. A violation wraps the
// signer's error where it got one, for [errors.As].
//
//	if err := kmstest.CheckSigner(signer); err != nil {
//		t.Error(err)
//	}
//
// Signatures are verified with the standard library, with filippo.io/mldsa, or,
// on secp256k1, with decred's package, never by the signer.
//
// # What a signer must sign
//
//   - RSA of 2048 bits or more: RSASSA-PKCS1-v1_5 and RSASSA-PSS with SHA-256,
//     SHA-384 and SHA-512, the PSS salt given as rsa.PSSSaltLengthEqualsHash,
//     as the length of the hash, and as rsa.PSSSaltLengthAuto, for which a salt
//     of any length will do.
//   - ECDSA on P-256, P-384, P-521, and secp256k1 with the curve of
//     github.com/decred/dcrd/dcrec/secp256k1/v4: the one hash that KMS and JOSE
//     pair with the curve. Signatures are DER.
//   - Ed25519: messages of 1 to 4096 bytes, with HashFunc 0.
//   - ML-DSA with the keys of filippo.io/mldsa: messages of any length, with
//     HashFunc 0 and the empty context.
//
// It must do so whatever type the options have, with a nil rand, and for 16
// goroutines at once. A MessageSigner must do so for messages of any length as
// well (Ed25519: 1 to 4096 bytes).
//
// # What it may refuse, and what it must
//
// All else that options can ask for, it may make or refuse with an error, but
// not exchange for something else: another hash, another PSS salt, a context,
// Ed25519ph, an ML-DSA mu, longer Ed25519 messages, and ECDSA over a digest of
// any length and of any hash, because it is defined for all. It must refuse what
// no signature exists for: an RSA digest of a wrong length, an impossible salt, a
// message with an unknown hash. Nothing may make it panic, nil options included.
//
// Further, Public must return the same key every time, of one of the types above,
// with Equal. Input must be neither changed nor kept, signatures must not share
// memory, and ECDSA digests no nonce. Under the race detector CheckSigner finds
// more.
//
// # The standard library's own keys
//
// *ecdsa.PrivateKey, *rsa.PrivateKey and ed25519.PrivateKey pass. They, and no
// other types, may panic where crypto/rsa and crypto/ed25519 do: on nil options,
// on a hash that does not exist, on PSS options without a hash. Likewise they
// alone may fail on a nil rand, from which crypto/rsa cannot make a PSS salt.
//
// # Cost
//
// A kmssigner.Signer makes 26 signatures with an ECDSA key, 49 with RSA, 31 with
// Ed25519 and 36 with ML-DSA, 16 of them at once; one that refuses nothing that
// it may, up to 60. With KMS that is a fraction of a cent and about as many round
// trips.
//
// CheckSigner has no context and no deadline: bind them to the signer. There is
// nothing to switch off either: a key whose policy allows only some algorithms
// has a violation for each of the others, which wraps the error of KMS.
func CheckSigner(signer crypto.Signer) error {
	if signer == nil {
		return errors.New("the signer is nil")
	}
	c := signerCheck{signer: signer, wrote: map[string]bool{}}
	switch signer.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		c.std = true
	}
	_, c.isMessageSigner = signer.(crypto.MessageSigner)
	c.run()
	return errors.Join(c.violations...)
}

func (c *signerCheck) run() {
	pub, ok := c.firstPublic()
	if !ok {
		return // nothing to verify with
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		c.rsa(pub)
	case *ecdsa.PublicKey:
		c.ecdsa(pub)
	case ed25519.PublicKey:
		c.ed25519(pub)
	case *mldsa.PublicKey:
		c.mldsa(pub)
	}
	if len(c.working) > 0 { // with the others there is nothing more to find out
		c.optionTypes()
		c.nilRand()
		c.buffers()
		c.concurrency()
	}
	c.lastPublic(pub)
}

// signerCheck is one run of CheckSigner.
type signerCheck struct {
	signer          crypto.Signer
	std             bool
	isMessageSigner bool
	violations      []error

	public  []byte         // the encoding of the public key before the first signature
	working []signerScheme // those of schemes by which Sign has made a right signature

	// What each kind of key sets first:
	schemes []signerScheme // those it must sign with
	hashed  bool           // Sign gets a digest
	form    func(sig []byte) (wrong string)
	read    func(digest, sig []byte) (name string) // what sig is over digest, if anything

	messages int
	earlier  [][]byte          // what the signer was given of late
	nonces   map[string][]byte // ECDSA alone: the digests signed, by R
	wrote    map[string]bool   // methods that changed their input
}

func (c *signerCheck) violation(format string, args ...any) {
	c.violations = append(c.violations, fmt.Errorf(format, args...))
}

// message returns a new message: each is another, so that a signature of an
// earlier one is a wrong one.
func (c *signerCheck) message(size int) []byte {
	c.messages++
	return sha3.SumSHAKE256(fmt.Appendf(nil, "kmstest: CheckSigner, message %d", c.messages), size)
}

// Sizes of messages.
const (
	shortMessage = 100
	longMessage  = 5000 // more than KMS takes
)

// A demand is what a signer owes to a call.
type demand string

const (
	mustSign   demand = "a right signature"
	maySign    demand = "a right signature or an error"
	mustRefuse demand = "an error"
)

// A signerScheme is one way to sign.
type signerScheme struct {
	name   string
	opts   crypto.SignerOpts
	verify func(digest, sig []byte) bool // nil: no signature is right
	why    string
}

// digest returns what Sign gets for a message.
func (s signerScheme) digest(msg []byte) []byte {
	if s.opts.HashFunc() == 0 {
		return msg
	}
	return hashOf(s.opts.HashFunc(), msg)
}

func hashOf(h crypto.Hash, msg []byte) []byte {
	w := h.New()
	w.Write(msg)
	return w.Sum(nil)
}

// A signerCall is one call of Sign or SignMessage.
type signerCall struct {
	signerScheme
	demand demand
	method string // "Sign" or "SignMessage"
	how    string // of the call, if special
	rand   io.Reader
	input  []byte // what the signer gets
	given  []byte // a copy of it
	digest []byte // what the signature is verified with
	slip   bool   // a mistake of the programmer, for which the standard library's keys panic
}

func (c *signerCheck) signCall(s signerScheme, d demand, digest []byte) signerCall {
	// Room behind the digest, for who appends to it to show.
	input := append(make([]byte, 0, len(digest)+16), digest...)
	return signerCall{signerScheme: s, demand: d, method: "Sign", rand: rand.Reader,
		input: input, given: bytes.Clone(digest), digest: bytes.Clone(digest)}
}

func (c *signerCheck) messageCall(s signerScheme, d demand, msg, digest []byte) signerCall {
	call := c.signCall(s, d, msg)
	call.method, call.digest = "SignMessage", digest
	return call
}

func (call signerCall) String() string {
	input := "message"
	if call.method == "Sign" && call.opts != nil && call.opts.HashFunc() != 0 {
		input = "digest"
	}
	return fmt.Sprintf("%s of a %s of %d bytes with %s%s", call.method, input, len(call.given), call.name, call.how)
}

// mustSign demands signatures by all schemes.
func (c *signerCheck) mustSign() {
	for _, s := range c.schemes {
		if c.both(s, mustSign, shortMessage) {
			c.working = append(c.working, s)
		}
	}
}

// both demands the same of Sign and SignMessage, over a new message.
// It reports whether Sign made a right signature.
func (c *signerCheck) both(s signerScheme, d demand, size int) bool {
	msg := c.message(size)
	digest := s.digest(msg)
	_, signed := c.do(c.signCall(s, d, digest))
	if c.isMessageSigner {
		c.do(c.messageCall(s, d, msg, digest))
	}
	return signed
}

// slip is both for options that name no hash to make a digest with. Sign gets a
// digest that the key would sign with other options.
func (c *signerCheck) slip(s signerScheme, d demand) {
	msg := c.message(shortMessage)
	digest := msg
	if c.hashed {
		digest = hashOf(c.schemes[0].opts.HashFunc(), msg)
	}
	call := c.signCall(s, d, digest)
	call.slip = true
	c.do(call)
	if !c.isMessageSigner {
		return // crypto.SignMessage itself panics
	}
	if c.hashed && s.opts != nil {
		d, s.verify = mustRefuse, nil // without a hash there is nothing to sign
	}
	call = c.messageCall(s, d, msg, digest)
	call.slip = true
	c.do(call)
}

// A signerAnswer is what came of a call.
type signerAnswer struct {
	sig      []byte
	err      error
	panicked any
	wrote    bool // to the input
}

// call makes the call. It is safe for concurrent use.
func (c *signerCheck) call(call signerCall) (a signerAnswer) {
	defer func() { a.panicked = recover() }()
	whole := call.input[:cap(call.input)]
	before := bytes.Clone(whole)
	if call.method == "Sign" {
		a.sig, a.err = c.signer.Sign(call.rand, call.input, call.opts)
	} else {
		a.sig, a.err = crypto.SignMessage(c.signer, call.rand, call.input, call.opts)
	}
	a.wrote = !bytes.Equal(before, whole)
	return a
}

// do makes the call and judges the answer. It reports whether there is a right
// signature.
func (c *signerCheck) do(call signerCall) ([]byte, bool) {
	a := c.call(call)
	return a.sig, c.judge(call, a)
}

func (c *signerCheck) judge(call signerCall, a signerAnswer) (right bool) {
	defer func() {
		c.earlier = append(c.earlier, call.given)
		c.earlier = c.earlier[max(0, len(c.earlier)-2*checkGoroutines):]
	}()
	if a.wrote && !c.wrote[call.method] {
		c.wrote[call.method] = true
		c.violation("%v: it changed its input, or the memory behind it that append uses; want it read only: the caller still owns it, "+
			"and may be about to verify with it", call)
	}
	if a.panicked != nil {
		if !(c.std && call.slip) {
			c.violation("%v: it panicked: %v; want %s: %s", call, a.panicked, call.demand, call.why)
		}
		return false
	}
	if a.err != nil {
		if call.demand == mustSign {
			c.violation("%v: got an error: %w; want %s: %s", call, a.err, call.demand, call.why)
		}
		return false
	}
	switch wrong := c.form(a.sig); {
	case len(a.sig) == 0:
		c.violation("%v: got neither a signature nor an error; want %s: a nil error tells callers to go on, with nothing", call, call.demand)
	case call.demand == mustRefuse:
		c.violation("%v: got a signature: %s; want %s: %s", call, c.reading(call, a.sig), call.demand, call.why)
	case wrong != "":
		c.violation("%v: %s: %s; want %s: %s", call, wrong, c.reading(call, a.sig), call.demand, call.why)
	case !call.verify(call.digest, a.sig):
		c.violation("%v: the signature does not verify: %s; want %s: %s", call, c.reading(call, a.sig), call.demand, call.why)
	default:
		c.checkNonce(call, a.sig)
		return true
	}
	return false
}

// reading says what a wrong signature is, by trying likely mistakes.
func (c *signerCheck) reading(call signerCall, sig []byte) string {
	type candidate struct {
		digest []byte
		name   string
	}
	given := call.given
	candidates := []candidate{{given, "the input"}}
	add := func(digest []byte, format string, args ...any) {
		candidates = append(candidates, candidate{digest, fmt.Sprintf(format, args...)})
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		once := hashOf(h, given)
		add(once, "the %v of the input", h)
		add(hashOf(h, once), "the %v of the %v of the input", h, h)
		if len(given) > maxMessage {
			add(hashOf(h, given[:maxMessage]), "the %v of the first %d bytes of the input", h, maxMessage)
		}
		if size := h.Size(); size < len(given) {
			add(given[:size], "the input cut to %d bytes", size)
		} else if size > len(given) {
			add(append(bytes.Clone(given), make([]byte, size-len(given))...), "the input filled up to %d bytes", size)
		}
	}
	if len(given) > maxMessage {
		add(given[:maxMessage], "the first %d bytes of the input", maxMessage)
	}
	for _, other := range c.earlier {
		if !bytes.Equal(other, given) {
			add(other, "what another call was given")
		}
	}
	for _, is := range candidates {
		if name := c.read(is.digest, sig); name != "" {
			return fmt.Sprintf("it is %s over %s", name, is.name)
		}
	}
	return "it is by another key than Public returns, or over other bytes"
}

// checkNonce demands that no two digests are signed with one nonce.
func (c *signerCheck) checkNonce(call signerCall, sig []byte) {
	r, _, _, ok := parseECDSA(sig)
	if c.nonces == nil || !ok || call.demand != mustSign {
		return // the other calls may be about one digest in two forms
	}
	if other, ok := c.nonces[string(r)]; ok && !bytes.Equal(other, call.digest) {
		c.violation("%v: R is that of an earlier signature over another digest; want a nonce per digest: "+
			"two signatures with one nonce give away the private key (FIPS 186-5 section 6.3)", call)
	}
	c.nonces[string(r)] = call.digest
}

// firstPublic looks at the public key before the first signature.
func (c *signerCheck) firstPublic() (crypto.PublicKey, bool) {
	const types = "*rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or *mldsa.PublicKey of filippo.io/mldsa"
	pub, err := c.callPublic()
	switch {
	case err != nil:
		c.violation("Public: %w; want one of %s: it has no error to return, so the key must be known before", err, types)
		return nil, false
	case pub == nil:
		c.violation("Public: got nil; want one of %s: it has no error to return, so the key must be known before", types)
		return nil, false
	}
	if _, ok := pub.(interface{ Equal(crypto.PublicKey) bool }); !ok {
		c.violation("Public: a %T has no method Equal(crypto.PublicKey) bool; want it: package crypto promises it of every public key, "+
			"and crypto/x509 compares the keys of certificate and signer with it", pub)
	}
	encoding, err := encodePublic(pub)
	if err != nil {
		c.violation("Public: %w; want one of %s: no signature can be verified without", err, types)
		return nil, false
	}
	c.public = encoding
	again, err := c.callPublic()
	c.samePublic(again, err, "at its second call")
	return pub, true
}

// lastPublic looks at the public key, and at the value that was returned first,
// after the last signature.
func (c *signerCheck) lastPublic(first crypto.PublicKey) {
	c.samePublic(first, nil, "in the value returned first, after signing")
	pub, err := c.callPublic()
	c.samePublic(pub, err, "after signing")
}

// samePublic reports whether pub is still the public key.
func (c *signerCheck) samePublic(pub crypto.PublicKey, err error, when string) bool {
	var encoding []byte
	if err == nil {
		encoding, err = encodePublic(pub)
	}
	switch {
	case err != nil:
		c.violation("Public: %s: %w; want the same key always", when, err)
		return false
	case !bytes.Equal(encoding, c.public):
		c.violation("Public: it returned another key %s; want the same always: certificates and key sets are made of one call of it "+
			"and used with the signatures of a later one", when)
		return false
	}
	return true
}

func (c *signerCheck) callPublic() (_ crypto.PublicKey, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v", r)
		}
	}()
	return c.signer.Public(), nil
}

// encodePublic encodes a public key, to compare it with what it was or will be.
func encodePublic(pub crypto.PublicKey) (_ []byte, err error) {
	defer func() {
		if r := recover(); r != nil { // nil, or nil inside
			err = fmt.Errorf("the %T is not a whole key: %v", pub, r)
		}
	}()
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < 2048 {
			return nil, fmt.Errorf("the RSA modulus has %d bits, and at least 2048 are safe (FIPS 186-5 section 5.1)", bits)
		}
		return x509.MarshalPKCS1PublicKey(pub), nil
	case *ecdsa.PublicKey:
		if curveHash(pub.Curve) == 0 {
			return nil, fmt.Errorf("the key is on the curve %s, and not on P-256, P-384, P-521 or decred's secp256k1", pub.Curve.Params().Name)
		}
		if pub.Curve == secp256k1.Curve {
			return secp256k1.MarshalUncompressed(pub)
		}
		return pub.Bytes()
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("the Ed25519 key has %d bytes, and not %d (RFC 8032 section 5.1.5)", len(pub), ed25519.PublicKeySize)
		}
		return bytes.Clone(pub), nil
	case *mldsa.PublicKey:
		pub.Parameters() // panics on the zero key
		return bytes.Clone(pub.Bytes()), nil
	}
	return nil, fmt.Errorf("got a %T", pub)
}

// unknownHash has a number that no hash has.
const unknownHash crypto.Hash = 255

// Reasons that more than one kind of key shares.
const (
	whyNilOpts     = "options name the hash, without them nobody knows what was asked for; a slip of one caller must not end the service"
	whyUnknownHash = "no hash has the number 255; to make one up, or to panic, is worse than to say so"
	whyNilRand     = "a signer with randomness of its own ignores rand, and its callers pass nil"
)

func (c *signerCheck) rsa(pub *rsa.PublicKey) {
	const (
		whyPKCS1 = "options that are no *rsa.PSSOptions ask for RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) with the hash they name, " +
			"and a verifier takes nothing else for it"
		whyPSS = "*rsa.PSSOptions ask for RSASSA-PSS (RFC 8017 section 8.1), the only RSA signature of TLS 1.3 and of PS256, " +
			"with the hash they name and a salt as long as that, which strict verifiers demand (RFC 7518 section 3.5)"
		whySalt = "a salt length that is asked for is obeyed or refused; the verifier expects it (RFC 8017 section 9.1.2)"
		whySize = "the digest is not as long as the hash that the options name, and no RSA encoding holds such a one (RFC 8017 section 9)"
	)
	pkcs1 := func(h crypto.Hash) signerScheme {
		return signerScheme{fmt.Sprintf("RSASSA-PKCS1-v1_5 and %v", h), h,
			func(digest, sig []byte) bool { return rsa.VerifyPKCS1v15(pub, h, digest, sig) == nil }, whyPKCS1}
	}
	pss := func(h crypto.Hash, salt int, name string) signerScheme {
		opts := &rsa.PSSOptions{Hash: h, SaltLength: salt}
		return signerScheme{fmt.Sprintf("RSASSA-PSS, %v and %s", h, name), opts,
			func(digest, sig []byte) bool {
				return rsa.VerifyPSS(pub, h, digest, sig, &rsa.PSSOptions{SaltLength: salt}) == nil
			}, whyPSS}
	}
	equal := func(h crypto.Hash) signerScheme {
		return pss(h, rsa.PSSSaltLengthEqualsHash, "PSSSaltLengthEqualsHash")
	}
	without := func(s signerScheme, why string) signerScheme { s.verify, s.why = nil, why; return s }

	c.hashed = true
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		c.schemes = append(c.schemes, pkcs1(h), equal(h),
			pss(h, h.Size(), fmt.Sprintf("a salt of %d bytes", h.Size())),
			pss(h, rsa.PSSSaltLengthAuto, "PSSSaltLengthAuto"))
	}
	c.form = func(sig []byte) string {
		if len(sig) != pub.Size() {
			return fmt.Sprintf("the signature has %d bytes, and not %d as the modulus (RFC 8017 sections 8.1.1 and 8.2.1)", len(sig), pub.Size())
		}
		return ""
	}
	c.read = func(digest, sig []byte) string {
		for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256} {
			if len(digest) != h.Size() {
				continue
			}
			if s := pkcs1(h); s.verify(digest, sig) {
				return s.name
			}
			if s := pss(h, rsa.PSSSaltLengthAuto, ""); !s.verify(digest, sig) {
				continue
			}
			for salt := 1; salt < pub.Size(); salt++ {
				if s := pss(h, salt, fmt.Sprintf("a salt of %d bytes", salt)); s.verify(digest, sig) {
					return s.name
				}
			}
			return fmt.Sprintf("RSASSA-PSS, %v and no salt", h)
		}
		if rsa.VerifyPKCS1v15(pub, 0, digest, sig) == nil {
			return "RSASSA-PKCS1-v1_5 without a hash"
		}
		return ""
	}

	c.mustSign()
	c.lengths(c.schemes[0], mustSign)

	odd := pss(crypto.SHA256, 20, "a salt of 20 bytes")
	odd.why = whySalt
	c.both(odd, maySign, shortMessage)
	for _, salt := range []int{-2, pub.Size()} {
		c.both(without(pss(crypto.SHA256, salt, fmt.Sprintf("a salt of %d bytes", salt)), whySalt), mustRefuse, shortMessage)
	}
	// As long as SHA-256, to catch who takes the hash from the length.
	c.both(pkcs1(crypto.SHA3_256), maySign, shortMessage)
	c.both(equal(crypto.SHA3_256), maySign, shortMessage)
	for _, s := range []signerScheme{pkcs1(crypto.SHA256), equal(crypto.SHA256)} {
		for _, size := range []int{0, 31, 33, 64} {
			c.do(c.signCall(without(s, whySize), mustRefuse, c.message(size)))
		}
	}

	none := pkcs1(0)
	none.name, none.why = "RSASSA-PKCS1-v1_5 and no hash", "to crypto/rsa HashFunc 0 means that the input is signed without the hash's prefix"
	c.both(none, maySign, shortMessage)
	c.slip(signerScheme{name: "RSASSA-PSS and no hash", opts: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
		why: "RSASSA-PSS hashes (RFC 8017 section 9.1.1), and the options do not say how"}, mustRefuse)
	c.slip(signerScheme{name: "RSASSA-PKCS1-v1_5 and an unknown hash", opts: unknownHash, why: whyUnknownHash}, mustRefuse)
	c.slip(signerScheme{name: "RSASSA-PSS and an unknown hash", opts: &rsa.PSSOptions{Hash: unknownHash, SaltLength: rsa.PSSSaltLengthEqualsHash},
		why: whyUnknownHash}, mustRefuse)
	c.slip(signerScheme{name: "nil options", why: whyNilOpts}, mustRefuse)
}

func (c *signerCheck) ecdsa(pub *ecdsa.PublicKey) {
	const (
		whyOwn = "this hash goes with the curve in JOSE (RFC 7518 section 3.4, RFC 8812 section 3.2) and in KMS, " +
			"and callers of a crypto.Signer take the signature for DER (RFC 3279 section 2.2.3)"
		whyOther = "ECDSA signs the leftmost bits of the digest that it is given (FIPS 186-5 section 6.4.1); one that is filled up, cut or " +
			"hashed once more is another digest"
		whyNone = "HashFunc 0 says that the input was not hashed; it can be signed as it is, or not at all"
	)
	verifyASN1 := ecdsa.VerifyASN1
	if pub.Curve == secp256k1.Curve {
		verifyASN1 = secp256k1.VerifyASN1
	}
	verify := func(digest, sig []byte) bool {
		// FIPS 186-5 section 6.4.2 reads the leftmost bits of the digest as a
		// number, which is 0 if there are none. Go 1.27 refuses to verify an
		// empty digest, and Go 1.26 does not, so it is written as one byte.
		if len(digest) == 0 {
			digest = []byte{0}
		}
		return verifyASN1(pub, digest, sig)
	}
	own := curveHash(pub.Curve)
	scheme := func(name string, opts crypto.SignerOpts, why string) signerScheme {
		return signerScheme{name, opts, verify, why}
	}
	size := (pub.Curve.Params().BitSize + 7) / 8

	c.hashed, c.nonces = true, map[string][]byte{}
	c.schemes = []signerScheme{scheme(own.String(), own, whyOwn)}
	c.form = func(sig []byte) string {
		if _, _, rest, ok := parseECDSA(sig); !ok || len(rest) > 0 {
			return "the signature is not the DER of a SEQUENCE of two INTEGERs and nothing else"
		}
		return ""
	}
	c.read = func(digest, sig []byte) string {
		if len(sig) == 2*size && verify(digest, marshalECDSA(sig[:size], sig[size:])) {
			return "an ECDSA signature as R‖S (IEEE P1363, the form in a JWS)"
		}
		r, s, rest, ok := parseECDSA(sig)
		if !ok || !verify(digest, marshalECDSA(r, s)) {
			return ""
		}
		if len(rest) > 0 {
			return "an ECDSA signature with bytes behind it"
		}
		return "an ECDSA signature"
	}

	c.mustSign()
	c.lengths(c.schemes[0], mustSign)

	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256} {
		if h != own {
			c.both(scheme(h.String(), h, whyOther), maySign, shortMessage)
		}
	}
	for _, n := range []int{0, own.Size() - 1, own.Size() + 1, 2 * own.Size()} {
		c.do(c.signCall(scheme(own.String(), own, whyOther), maySign, c.message(n)))
	}
	c.both(scheme("no hash", crypto.Hash(0), whyNone), maySign, own.Size())
	c.slip(scheme("an unknown hash", unknownHash, whyUnknownHash), maySign)
	c.slip(scheme("nil options", nil, whyNilOpts), maySign)
}

func (c *signerCheck) ed25519(pub ed25519.PublicKey) {
	const (
		whyPure    = "HashFunc 0 asks for pure Ed25519 over the message (RFC 8032 section 5.1.6)"
		whyContext = "a context asks for Ed25519ctx (RFC 8032 section 5.1), whose signatures are no pure ones"
		whyPh      = "SHA-512 asks for Ed25519ph over the digest as it is (RFC 8032 section 5.1); ED25519_PH_SHA_512 of KMS hashes it once more"
		whyHash    = "there is no Ed25519 with this hash (RFC 8032 section 5.1)"
	)
	pure := func(name string, opts crypto.SignerOpts) signerScheme {
		return signerScheme{name, opts, func(msg, sig []byte) bool { return ed25519.Verify(pub, msg, sig) }, whyPure}
	}
	with := func(name, why string, opts *ed25519.Options) signerScheme {
		return signerScheme{name, opts,
			func(msg, sig []byte) bool { return ed25519.VerifyWithOptions(pub, msg, sig, opts) == nil }, why}
	}
	ph := with("Ed25519ph", whyPh, &ed25519.Options{Hash: crypto.SHA512})

	c.schemes = []signerScheme{pure("HashFunc 0", crypto.Hash(0)), pure("empty ed25519.Options", &ed25519.Options{})}
	c.form = func(sig []byte) string {
		if len(sig) != ed25519.SignatureSize {
			return fmt.Sprintf("the signature has %d bytes, and not 64 (RFC 8032 section 5.1.6)", len(sig))
		}
		return ""
	}
	c.read = func(msg, sig []byte) string {
		switch {
		case ed25519.Verify(pub, msg, sig):
			return "pure Ed25519"
		case len(msg) == 64 && ph.verify(msg, sig):
			return "Ed25519ph"
		}
		return ""
	}

	c.mustSign()
	c.both(c.schemes[0], mustSign, 1)
	c.both(c.schemes[0], mustSign, maxMessage)
	c.both(c.schemes[0], maySign, 0)
	c.both(c.schemes[0], maySign, longMessage)

	c.both(ph, maySign, shortMessage)
	phByHash := ph
	phByHash.name, phByHash.opts = "Ed25519ph, as crypto.SHA512", crypto.SHA512
	c.both(phByHash, maySign, shortMessage)
	c.both(with("a context", whyContext, &ed25519.Options{Context: "context"}), maySign, shortMessage)
	c.both(signerScheme{"a context of 256 bytes", &ed25519.Options{Context: strings.Repeat("c", 256)}, nil,
		"a context has at most 255 bytes (RFC 8032 section 5.1)"}, mustRefuse, shortMessage)
	c.both(signerScheme{"SHA-256", crypto.SHA256, nil, whyHash}, mustRefuse, shortMessage)
	for _, size := range []int{0, 63, 65} {
		c.do(c.signCall(signerScheme{"Ed25519ph", ph.opts, nil, "a SHA-512 digest has 64 bytes"}, mustRefuse, c.message(size)))
	}
	c.slip(signerScheme{"an unknown hash", unknownHash, nil, whyUnknownHash}, mustRefuse)
	nilOpts := pure("nil options", nil)
	nilOpts.why = whyNilOpts
	c.slip(nilOpts, maySign)
}

func (c *signerCheck) mldsa(pub *mldsa.PublicKey) {
	const (
		whyPure    = "HashFunc 0 asks for ML-DSA over the message (FIPS 204 algorithm 2), which may have any length: mu stands for it (section 6.2)"
		whyContext = "a context is part of what is signed (FIPS 204 algorithm 2)"
		whyMu      = "HashFunc MLDSAMu says that the input is the message representative mu (FIPS 204 algorithm 7, line 6)"
	)
	with := func(name, why string, opts crypto.SignerOpts, context string) signerScheme {
		return signerScheme{name, opts, func(msg, sig []byte) bool {
			return mldsa.Verify(pub, msg, sig, &mldsa.Options{Context: context}) == nil
		}, why}
	}
	pure := with("HashFunc 0", whyPure, crypto.Hash(0), "")

	c.schemes = []signerScheme{pure, with("empty mldsa.Options", whyPure, &mldsa.Options{}, "")}
	c.form = func(sig []byte) string {
		if want := pub.Parameters().SignatureSize(); len(sig) != want {
			return fmt.Sprintf("the signature has %d bytes, and not %d (FIPS 204 table 2)", len(sig), want)
		}
		return ""
	}
	c.read = func(msg, sig []byte) string {
		if pure.verify(msg, sig) {
			return "ML-DSA with an empty context"
		}
		return ""
	}

	c.mustSign()
	for _, size := range []int{0, maxMessage, longMessage} {
		c.both(pure, mustSign, size)
	}

	c.both(with("a context", whyContext, &mldsa.Options{Context: "context"}, "context"), maySign, shortMessage)
	c.both(signerScheme{"a context of 256 bytes", &mldsa.Options{Context: strings.Repeat("c", 256)}, nil,
		"a context has at most 255 bytes (FIPS 204 algorithm 2)"}, mustRefuse, shortMessage)
	c.both(signerScheme{"SHA-256", crypto.SHA256, nil,
		"pure ML-DSA takes the message; a signature over its hash is another one, and HashML-DSA a third (FIPS 204 section 5.4)"}, mustRefuse, shortMessage)
	msg := c.message(shortMessage)
	c.do(c.signCall(signerScheme{"MLDSAMu", mldsacrypto.MLDSAMu, func(_, sig []byte) bool { return pure.verify(msg, sig) }, whyMu},
		maySign, messageRepresentative(pub, msg)))
	for _, size := range []int{0, 63, 65} {
		c.do(c.signCall(signerScheme{"MLDSAMu", mldsacrypto.MLDSAMu, nil, "mu has 64 bytes (FIPS 204 algorithm 7)"}, mustRefuse, c.message(size)))
	}
	c.slip(signerScheme{"an unknown hash", unknownHash, nil, whyUnknownHash}, mustRefuse)
	c.slip(with("nil options", whyNilOpts, nil, ""), maySign)
}

// lengths demands messages of lengths that KMS does not take whole. Of Sign, which
// gets the digest, they demand nothing new.
func (c *signerCheck) lengths(s signerScheme, d demand) {
	if !c.isMessageSigner {
		return
	}
	s.why = "what is signed is the hash, which every message has: one that is empty, and one that is longer than the 4096 bytes that KMS takes"
	for _, size := range []int{0, longMessage} {
		msg := c.message(size)
		c.do(c.messageCall(s, d, msg, s.digest(msg)))
	}
}

// plainOpts are options of a type that no signer knows.
type plainOpts crypto.Hash

func (o plainOpts) HashFunc() crypto.Hash { return crypto.Hash(o) }

// optionTypes demands that options are looked at through their interface. This
// is also where a signer that is no MessageSigner meets crypto.SignMessage.
func (c *signerCheck) optionTypes() {
	i := slices.IndexFunc(c.working, func(s signerScheme) bool { _, ok := s.opts.(crypto.Hash); return ok })
	if i < 0 {
		return
	}
	s := c.working[i]
	s.opts = plainOpts(s.opts.HashFunc())
	s.name += " in options of an unknown type"
	s.why = "crypto.SignerOpts is an interface: any type with a HashFunc will do"
	msg := c.message(shortMessage)
	c.do(c.signCall(s, mustSign, s.digest(msg)))
	c.do(c.messageCall(s, mustSign, msg, s.digest(msg)))
}

// nilRand demands signatures without rand, for the first scheme and the last:
// with RSA these are PKCS #1 v1.5 and PSS.
func (c *signerCheck) nilRand() {
	ends := []signerScheme{c.working[0]}
	if n := len(c.working); n > 1 {
		ends = append(ends, c.working[n-1])
	}
	for _, s := range ends {
		s.why = whyNilRand
		call := c.signCall(s, mustSign, s.digest(c.message(shortMessage)))
		call.rand, call.how, call.slip = nil, ", rand nil", true
		if c.std {
			call.demand = maySign
		}
		c.do(call)
	}
}

// buffers demands that nothing is shared between inputs and signatures, or kept.
func (c *signerCheck) buffers() {
	s := c.working[0]
	s.why = "the input belongs to the caller, who may change it once Sign has returned, and the signature as well"
	digest, other := s.digest(c.message(shortMessage)), s.digest(c.message(shortMessage))
	call := c.signCall(s, mustSign, digest)
	call.how = ", its buffer to be used again"
	first, ok := c.do(call)
	if !ok {
		return
	}
	was := bytes.Clone(first)

	copy(call.input, other)
	call.given, call.digest, call.how = other, other, ", in the buffer of the call before"
	second, ok := c.do(call)
	if !bytes.Equal(first, was) {
		c.violation("%v: it changed the signature of the call before; want a new slice for each: %s", call, s.why)
	}
	if !ok {
		return
	}

	was = bytes.Clone(second)
	first = first[:cap(first)] // the memory behind it is the caller's too: append uses it
	for i := range first {
		first[i] ^= 0xff
	}
	if !bytes.Equal(second, was) {
		c.violation("%v: the signature changed with that of the call before, or with the memory behind that; want a new slice for each: %s", call, s.why)
	}

	call = c.signCall(s, mustSign, digest)
	call.how = ", whose last signature the caller has overwritten"
	c.do(call)
}

// checkGoroutines is how many goroutines sign at once.
const checkGoroutines = 16

// concurrency demands right signatures and the same public key in all of them.
func (c *signerCheck) concurrency() {
	var (
		calls   [checkGoroutines]signerCall
		answers [checkGoroutines]signerAnswer
		publics [checkGoroutines]crypto.PublicKey
		errs    [checkGoroutines]error
		start   = make(chan struct{})
		done    sync.WaitGroup
	)
	for i := range calls {
		s := c.working[i%len(c.working)]
		s.why = "tls.Config and http.Server call one signer from many goroutines"
		calls[i] = c.signCall(s, mustSign, s.digest(c.message(shortMessage)))
		calls[i].how = fmt.Sprintf(", in one of %d goroutines", checkGoroutines)
		c.earlier = append(c.earlier, calls[i].given)
		done.Go(func() {
			<-start
			publics[i], errs[i] = c.callPublic()
			answers[i] = c.call(calls[i])
		})
	}
	close(start)
	done.Wait()
	before := len(c.violations)
	for i := range calls {
		c.judge(calls[i], answers[i])
	}
	if n := len(c.violations) - before; n > 1 {
		c.violations = append(c.violations[:before], fmt.Errorf("%w (and so %d more)", c.violations[before], n-1))
	}
	for i := range publics {
		if !c.samePublic(publics[i], errs[i], fmt.Sprintf("in one of %d goroutines", checkGoroutines)) {
			return // once is enough
		}
	}
}

// curveHash is the hash that goes with a curve, or 0 if the curve is not known.
func curveHash(curve elliptic.Curve) crypto.Hash {
	switch curve {
	case elliptic.P256(), secp256k1.Curve:
		return crypto.SHA256
	case elliptic.P384():
		return crypto.SHA384
	case elliptic.P521():
		return crypto.SHA512
	}
	return 0
}

// parseECDSA reads the strict DER of an ECDSA signature (RFC 3279 section 2.2.3).
func parseECDSA(sig []byte) (r, s, rest []byte, ok bool) {
	var inner cryptobyte.String
	input := cryptobyte.String(sig)
	ok = input.ReadASN1(&inner, cbasn1.SEQUENCE) &&
		inner.ReadASN1Integer(&r) && inner.ReadASN1Integer(&s) && inner.Empty()
	return r, s, input, ok
}

func marshalECDSA(r, s []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(r))
		b.AddASN1BigInt(new(big.Int).SetBytes(s))
	})
	return b.BytesOrPanic()
}

// messageRepresentative computes mu of FIPS 204, algorithms 2 and 7, with the
// empty context.
func messageRepresentative(pub *mldsa.PublicKey, msg []byte) []byte {
	tr := sha3.SumSHAKE256(pub.Bytes(), 64)
	return sha3.SumSHAKE256(slices.Concat(tr, []byte{0, 0}, msg), 64)
}
