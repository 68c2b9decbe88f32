package kmstest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func ExampleCheckSigner() {
	ctx := context.Background()
	client := kmstest.New()
	signer, err := kmssigner.New(ctx, client, client.AddKey(types.KeySpecEccNistP384))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(kmstest.CheckSigner(signer.WithContext(ctx)))

	// A signer that knows one padding.
	err = kmstest.CheckSigner(pkcs1Signer{rsaKey()})
	for violation := range strings.Lines(err.Error()) {
		before, _, _ := strings.Cut(violation, ";")
		fmt.Println(before)
		break
	}
	// Output:
	// <nil>
	// Sign of a digest of 32 bytes with RSASSA-PSS, SHA-256 and PSSSaltLengthEqualsHash: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input
}

type pkcs1Signer struct{ *rsa.PrivateKey }

func (s pkcs1Signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return rsa.SignPKCS1v15(rand, s.PrivateKey, opts.HashFunc(), digest)
}

// rsaKey is the test key of RFC 9500 section 2.1.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	block, _ := pem.Decode([]byte(strings.ReplaceAll(`-----BEGIN RSA TESTING KEY-----
MIIEowIBAAKCAQEAsPnoGUOnrpiSqt4XynxA+HRP7S+BSObI6qJ7fQAVSPtRkqso
tWxQYLEYzNEx5ZSHTGypibVsJylvCfuToDTfMul8b/CZjP2Ob0LdpYrNH6l5hvFE
89FU1nZQF15oVLOpUgA7wGiHuEVawrGfey92UE68mOyUVXGweJIVDdxqdMoPvNNU
l86BU02vlBiESxOuox+dWmuVV7vfYZ79Toh/LUK43YvJh+rhv4nKuF7iHjVjBd9s
B6iDjj70HFldzOQ9r8SRI+9NirupPTkF5AKNe6kUhKJ1luB7S27ZkvB3tSTT3P59
3VVJvnzOjaA1z6Cz+4+eRvcysqhrRgFlwI9TEwIDAQABAoIBAEEYiyDP29vCzx/+
dS3LqnI5BjUuJhXUnc6AWX/PCgVAO+8A+gZRgvct7PtZb0sM6P9ZcLrweomlGezI
FrL0/6xQaa8bBr/ve/a8155OgcjFo6fZEw3Dz7ra5fbSiPmu4/b/kvrg+Br1l77J
aun6uUAs1f5B9wW+vbR7tzbT/mxaUeDiBzKpe15GwcvbJtdIVMa2YErtRjc1/5B2
BGVXyvlJv0SIlcIEMsHgnAFOp1ZgQ08aDzvilLq8XVMOahAhP1O2A3X8hKdXPyrx
IVWE9bS9ptTo+eF6eNl+d7htpKGEZHUxinoQpWEBTv+iOoHsVunkEJ3vjLP3lyI/
fY0NQ1ECgYEA3RBXAjgvIys2gfU3keImF8e/TprLge1I2vbWmV2j6rZCg5r/AS0u
pii5CvJ5/T5vfJPNgPBy8B/yRDs+6PJO1GmnlhOkG9JAIPkv0RBZvR0PMBtbp6nT
Y3yo1lwamBVBfY6rc0sLTzosZh2aGoLzrHNMQFMGaauORzBFpY5lU50CgYEAzPHl
u5DI6Xgep1vr8QvCUuEesCOgJg8Yh1UqVoY/SmQh6MYAv1I9bLGwrb3WW/7kqIoD
fj0aQV5buVZI2loMomtU9KY5SFIsPV+JuUpy7/+VE01ZQM5FdY8wiYCQiVZYju9X
Wz5LxMNoz+gT7pwlLCsC4N+R8aoBk404aF1gum8CgYAJ7VTq7Zj4TFV7Soa/T1eE
k9y8a+kdoYk3BASpCHJ29M5R2KEA7YV9wrBklHTz8VzSTFTbKHEQ5W5csAhoL5Fo
qoHzFFi3Qx7MHESQb9qHyolHEMNx6QdsHUn7rlEnaTTyrXh3ifQtD6C0yTmFXUIS
CW9wKApOrnyKJ9nI0HcuZQKBgQCMtoV6e9VGX4AEfpuHvAAnMYQFgeBiYTkBKltQ
XwozhH63uMMomUmtSG87Sz1TmrXadjAhy8gsG6I0pWaN7QgBuFnzQ/HOkwTm+qKw
AsrZt4zeXNwsH7QXHEJCFnCmqw9QzEoZTrNtHJHpNboBuVnYcoueZEJrP8OnUG3r
UjmopwKBgAqB2KYYMUqAOvYcBnEfLDmyZv9BTVNHbR2lKkMYqv5LlvDaBxVfilE0
2riO4p6BaAdvzXjKeRrGNEKoHNBpOSfYCOM16NjL8hIZB1CaV3WbT5oY+jp7Mzd5
7d56RZOE+ERK2uz/7JX9VSsM/LbH9pJibd4e8mikDS9ntciqOH/3
-----END RSA TESTING KEY-----`, "TESTING KEY", "PRIVATE KEY")))
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func edKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func mldsaKey(params mldsa.Parameters) *mldsa.PrivateKey {
	key, err := mldsa.GenerateKey(params)
	if err != nil {
		panic(err)
	}
	return key
}

func secpKey() *secp256k1.PrivateKey {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		panic(err)
	}
	return key
}

// The keys of the standard library and of filippo.io/mldsa keep the promises.
func TestCheckSignerPrivateKeys(t *testing.T) {
	rsa3072, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"P-256":      ecKey(elliptic.P256()),
		"any digest": signsAnyDigest(ecKey(elliptic.P256())),
		"P-384":      ecKey(elliptic.P384()),
		"P-521":      ecKey(elliptic.P521()),
		"secp256k1":  secpKey().ToECDSA(),
		"RSA 2048":   rsaKey(),
		"RSA 3072":   rsa3072,
		"Ed25519":    edKey(),
		"ML-DSA-44":  mldsaKey(mldsa.MLDSA44()),
		"ML-DSA-65":  mldsaKey(mldsa.MLDSA65()),
		"ML-DSA-87":  mldsaKey(mldsa.MLDSA87()),
		"soft P-256": soft(ecKey(elliptic.P256())),
		"soft RSA":   soft(rsaKey()),
		"soft Ed":    soft(edKey()),
		"soft ML":    soft(mldsaKey(mldsa.MLDSA44())),
	} {
		if err := kmstest.CheckSigner(key); err != nil {
			t.Errorf("%s:\n%v", name, err)
		}
	}
}

// signsAnyDigest returns a signer that ignores options and signs digests of all
// lengths, as ECDSA is defined for. An empty digest is the number 0.
func signsAnyDigest(key *ecdsa.PrivateKey) crypto.Signer {
	s := soft(key)
	s.sign = func(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
		return ecdsa.SignASN1(rand.Reader, key, resize(digest, max(len(digest), 1)))
	}
	return s
}

// signCounter counts the calls of Sign that reach KMS.
type signCounter struct {
	kmssigner.Client
	calls atomic.Int64
}

func (c *signCounter) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	c.calls.Add(1)
	return c.Client.Sign(ctx, in, optFns...)
}

// Every key spec that signs, in memory and over the wire. The documented number
// of signatures is what KMS is asked for.
func TestCheckSignerKMS(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	t.Cleanup(server.Close)
	for spec, calls := range map[types.KeySpec]int64{
		types.KeySpecEccNistP256:         26,
		types.KeySpecEccNistP384:         26,
		types.KeySpecEccNistP521:         26,
		types.KeySpecEccSecgP256k1:       26,
		types.KeySpecRsa2048:             49,
		types.KeySpecRsa3072:             49,
		types.KeySpecRsa4096:             49,
		types.KeySpecEccNistEdwards25519: 31,
		types.KeySpecMlDsa44:             36,
		types.KeySpecMlDsa65:             36,
		types.KeySpecMlDsa87:             36,
	} {
		for name, client := range map[string]kmssigner.Client{"memory": fake, "wire": server.Client()} {
			t.Run(string(spec)+"/"+name, func(t *testing.T) {
				t.Parallel()
				client := &signCounter{Client: client}
				signer, err := kmssigner.New(t.Context(), client, fake.AddKey(spec))
				if err != nil {
					t.Fatal(err)
				}
				if err := kmstest.CheckSigner(signer); err != nil {
					t.Error(err)
				}
				if n := client.calls.Load(); n != calls {
					t.Errorf("%d calls of Sign, %d are documented", n, calls)
				}
			})
		}
	}
}

// counter counts the signatures of a MessageSigner that refuses no more than
// its key does.
type counter struct {
	crypto.Signer
	made *atomic.Int64
}

func (c counter) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := c.Signer.Sign(rand, digest, opts)
	if err == nil {
		c.made.Add(1)
	}
	return sig, err
}

func (c counter) SignMessage(rand io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	return crypto.SignMessage(struct{ crypto.Signer }{c}, rand, msg, opts)
}

func TestCheckSignerCost(t *testing.T) {
	const documented = 60
	for _, key := range []crypto.Signer{ecKey(elliptic.P256()), rsaKey(), edKey(), mldsaKey(mldsa.MLDSA44())} {
		c := counter{key, new(atomic.Int64)}
		kmstest.CheckSigner(c)
		t.Logf("%T: %d signatures", key, c.made.Load())
		if n := c.made.Load(); n > documented {
			t.Errorf("%T: %d signatures, at most %d are documented", key, n, documented)
		}
	}
}

// The parts of a softSigner, to be replaced by broken ones.
type (
	publicFunc func() crypto.PublicKey
	signFunc   func(rand io.Reader, input []byte, opts crypto.SignerOpts) ([]byte, error)
)

// softSigner keeps the promises in software, and refuses what a signer over KMS
// refuses.
type softSigner struct {
	public            publicFunc
	sign, signMessage signFunc
}

func (s *softSigner) Public() crypto.PublicKey { return s.public() }

func (s *softSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(rand, digest, opts)
}

func (s *softSigner) SignMessage(rand io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.signMessage(rand, msg, opts)
}

var errRefused = errors.New("refused")

// soft makes a softSigner. Its sign and signMessage are independent, so that
// breaking the one leaves the other whole.
func soft(key crypto.Signer) *softSigner {
	allowed := func(opts crypto.SignerOpts) bool {
		if opts == nil {
			return false
		}
		pss, isPSS := opts.(*rsa.PSSOptions)
		h := opts.HashFunc()
		switch pub := key.Public().(type) {
		case *rsa.PublicKey:
			return (h == crypto.SHA256 || h == crypto.SHA384 || h == crypto.SHA512) &&
				(!isPSS || pss.SaltLength == rsa.PSSSaltLengthEqualsHash || pss.SaltLength == rsa.PSSSaltLengthAuto || pss.SaltLength == h.Size())
		case *ecdsa.PublicKey:
			return h == ownHash(pub)
		case ed25519.PublicKey:
			o, ok := opts.(*ed25519.Options)
			return h == 0 && (!ok || o.Context == "")
		}
		return h == 0
	}
	sign := func(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		if !allowed(opts) || opts.HashFunc() != 0 && len(digest) != opts.HashFunc().Size() {
			return nil, errRefused
		}
		return key.Sign(rand.Reader, digest, opts)
	}
	return &softSigner{key.Public, sign, hashing(func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return sign(r, digest, opts)
	}, allowed)}
}

// hashing makes a SignMessage of a Sign.
func hashing(sign signFunc, allowed func(crypto.SignerOpts) bool) signFunc {
	return func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
		if !allowed(opts) {
			return nil, errRefused
		}
		return sign(r, digestOf(opts.HashFunc(), msg), opts)
	}
}

func ownHash(pub *ecdsa.PublicKey) crypto.Hash {
	switch pub.Curve {
	case elliptic.P384():
		return crypto.SHA384
	case elliptic.P521():
		return crypto.SHA512
	}
	return crypto.SHA256
}

func digestOf(h crypto.Hash, msg []byte) []byte {
	if h == 0 {
		return msg
	}
	w := h.New()
	w.Write(msg)
	return w.Sum(nil)
}

// edit makes a signFunc that changes what another gets.
func edit(sign signFunc, input func([]byte, crypto.SignerOpts) ([]byte, crypto.SignerOpts)) signFunc {
	return func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
		in, opts = input(in, opts)
		return sign(r, in, opts)
	}
}

// editSig makes a signFunc that changes what another returns.
func editSig(sign signFunc, change func([]byte) []byte) signFunc {
	return func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
		sig, err := sign(r, in, opts)
		if err != nil {
			return nil, err
		}
		return change(sig), nil
	}
}

// resize cuts or fills input to size.
func resize(input []byte, size int) []byte {
	return append(bytes.Clone(input[:min(size, len(input))]), make([]byte, max(0, size-len(input)))...)
}

// newPSS are PSS options with another salt than asked for.
func newPSS(opts crypto.SignerOpts, salt int) crypto.SignerOpts {
	return &rsa.PSSOptions{Hash: opts.HashFunc(), SaltLength: salt}
}

// A broken signer breaks one promise, and no other.
var brokenSigners = []struct {
	name  string
	key   func() crypto.Signer
	spoil func(s *softSigner, key crypto.Signer)
	want  []string // each violation has one of them, and each is in one
}{
	{"nil Public", p256, func(s *softSigner, _ crypto.Signer) {
		s.public = func() crypto.PublicKey { return nil }
	}, []string{"Public: got nil; want one of *rsa.PublicKey"}},

	{"Public is a nil pointer", p256, func(s *softSigner, _ crypto.Signer) {
		s.public = func() crypto.PublicKey { return (*ecdsa.PublicKey)(nil) }
	}, []string{"the *ecdsa.PublicKey is not a whole key"}},

	{"Public panics", p256, func(s *softSigner, _ crypto.Signer) {
		s.public = func() crypto.PublicKey { panic("no network") }
	}, []string{"Public: it panicked: no network"}},

	{"Public without Equal", p256, func(s *softSigner, key crypto.Signer) {
		pub := *key.Public().(*ecdsa.PublicKey)
		s.public = func() crypto.PublicKey { return pub }
	}, []string{"a ecdsa.PublicKey has no method Equal", "got a ecdsa.PublicKey; want one of"}},

	{"Public on another curve", p256, func(s *softSigner, key crypto.Signer) {
		s.public = ecKey(elliptic.P224()).Public
	}, []string{"on the curve P-224"}},

	{"Public off the curve", p256, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey {
			//lint:ignore SA1019 the alternatives check the point.
			return &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
		}
	}, []string{"no signature can be verified without"}},

	{"Public off secp256k1", secp, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey {
			//lint:ignore SA1019 the alternatives do not know the curve.
			return &ecdsa.PublicKey{Curve: secp256k1.S256(), X: big.NewInt(1), Y: big.NewInt(1)}
		}
	}, []string{"no signature can be verified without"}},

	{"Public out of the range of secp256k1", secp, func(s *softSigner, key crypto.Signer) {
		pub := *key.Public().(*ecdsa.PublicKey)
		//lint:ignore SA1019 the alternatives do not know the curve.
		pub.X = new(big.Int).Neg(pub.X) // its absolute value is on the curve
		s.public = func() crypto.PublicKey { return &pub }
	}, []string{"the point of the secp256k1 key is out of range; want one of"}},

	{"Public is a short RSA key", rsa2048, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey { return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537} }
	}, []string{"the RSA modulus has 1024 bits"}},

	{"Public is a short Ed25519 key", ed, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey { return key.Public().(ed25519.PublicKey)[:31] }
	}, []string{"the Ed25519 key has 31 bytes"}},

	{"Public is a zero ML-DSA key", ml, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey { return new(mldsa.PublicKey) }
	}, []string{"the *mldsa.PublicKey is not a whole key"}},

	{"new Public at each call", p256, func(s *softSigner, key crypto.Signer) {
		calls := 0
		var lock sync.Mutex
		s.public = func() crypto.PublicKey {
			lock.Lock()
			defer lock.Unlock()
			if calls++; calls == 1 {
				return key.Public()
			}
			return p256().Public()
		}
	}, []string{"another key at its second call", "another key in one of 16 goroutines", "another key after signing"}},

	{"Public goes away", p256, func(s *softSigner, key crypto.Signer) {
		var signed atomic.Bool
		s.sign = editSig(s.sign, func(sig []byte) []byte { signed.Store(true); return sig })
		s.public = func() crypto.PublicKey {
			if signed.Load() {
				return nil
			}
			return key.Public()
		}
	}, []string{"Public: in one of 16 goroutines: got a <nil>; want the same key always", "Public: after signing: got a <nil>"}},

	{"other Public to some goroutines", p256, func(s *softSigner, key crypto.Signer) {
		var calls atomic.Int64
		s.public = func() crypto.PublicKey {
			if calls.Add(1) == 5 {
				return p256().Public()
			}
			return key.Public()
		}
	}, []string{"another key in one of 16 goroutines"}},

	{"Public changes in place", p256, func(s *softSigner, key crypto.Signer) {
		pub := *key.Public().(*ecdsa.PublicKey)
		s.public = func() crypto.PublicKey { return &pub }
		var once sync.Once
		s.sign = editSig(s.sign, func(sig []byte) []byte {
			once.Do(func() { pub = *p256().Public().(*ecdsa.PublicKey) })
			return sig
		})
	}, []string{"in the value returned first, after signing", "another key after signing", "it is by another key"}},

	{"signs with another key", p256, func(s *softSigner, _ crypto.Signer) {
		*s = softSigner{s.public, soft(p256()).sign, soft(p256()).signMessage}
	}, []string{"it is by another key than Public returns"}},

	{"always fails", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errRefused }
		s.signMessage = s.sign
	}, []string{"got an error: refused; want a right signature"}},

	{"swallows errors", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			sig, _ := sign(r, digest, opts)
			return append([]byte{}, sig...), nil
		}
	}, []string{"got neither a signature nor an error"}},

	{"hashes again", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return digestOf(crypto.SHA256, in), opts
		})
	}, []string{"it is an ECDSA signature over the SHA-256 of the input"}},

	{"hashes again, P-521", p521, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return digestOf(crypto.SHA512, in), opts
		})
	}, []string{"it is an ECDSA signature over the SHA-512 of the input"}},

	{"R‖S", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, rawSignature)
		s.signMessage = editSig(s.signMessage, rawSignature)
	}, []string{"is not the DER of a SEQUENCE of two INTEGERs and nothing else: it is an ECDSA signature as R‖S (IEEE P1363"}},

	{"a byte too many", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return append(sig, 0) })
	}, []string{"and nothing else: it is an ECDSA signature with bytes behind it over the input"}},

	{"a byte too few", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return sig[:len(sig)-1] })
	}, []string{"is not the DER of a SEQUENCE of two INTEGERs"}},

	{"BER", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return slices.Concat([]byte{0x30, 0x81, sig[1]}, sig[2:]) })
	}, []string{"is not the DER of a SEQUENCE of two INTEGERs"}},

	{"one nonce for all", secp, func(s *softSigner, key crypto.Signer) {
		nonce := secpKey()
		s.sign = func(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == nil || opts.HashFunc() != crypto.SHA256 || len(digest) != 32 {
				return nil, errRefused
			}
			return signWithNonce(key.(*ecdsa.PrivateKey), nonce, digest), nil
		}
	}, []string{"two signatures with one nonce give away the private key"}},

	{"fills up short digests", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return resize(in, max(len(in), 32)), opts
		})
	}, []string{"of a digest of 31 bytes with SHA-256: the signature does not verify: it is an ECDSA signature over the input filled up to 32 bytes"}},

	{"fills up short RSA digests", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil && opts.HashFunc() == crypto.SHA256 {
				in = resize(in, max(len(in), 32))
			}
			return in, opts
		})
	}, []string{"and SHA-256 over the input filled up to 32 bytes; want an error", "RSASSA-PSS, SHA-256 and a salt of 32 bytes over the input filled up to 32 bytes; want an error"}},

	{"cuts long RSA digests", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil && opts.HashFunc() == crypto.SHA256 {
				in = in[:min(len(in), 32)]
			}
			return in, opts
		})
	}, []string{"of a digest of 33 bytes", "of a digest of 64 bytes"}},

	{"panics on nil opts", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			opts.HashFunc()
			return in, opts
		})
	}, []string{"Sign of a message of 32 bytes with nil options: it panicked"}},

	{"SignMessage panics on nil opts", ed, func(s *softSigner, _ crypto.Signer) {
		s.signMessage = edit(s.signMessage, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			opts.HashFunc()
			return in, opts
		})
	}, []string{"SignMessage of a message of 100 bytes with nil options: it panicked"}},

	{"panics where RSA keys of the standard library do", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			pss, isPSS := opts.(*rsa.PSSOptions)
			switch {
			case opts == nil:
				panic("nil options")
			case opts.HashFunc() == 255:
				panic("an unknown hash")
			case isPSS && pss.Hash == 0:
				panic("no hash")
			case isPSS && r == nil:
				panic("no rand")
			}
			return sign(r, digest, opts)
		}
	}, []string{"nil options: it panicked", "an unknown hash: it panicked", "no hash: it panicked", "PSSSaltLengthAuto, rand nil: it panicked"}},

	{"panics on a wrong length", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			digest := [32]byte(in)
			return digest[:], opts
		})
	}, []string{"of a digest of 0 bytes with SHA-256: it panicked", "of a digest of 31 bytes with SHA-256: it panicked"}},

	{"panics on another type of options", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil {
				opts = opts.(crypto.Hash)
			}
			return in, opts
		})
	}, []string{"in options of an unknown type: it panicked"}},

	{"SignMessage panics on an unknown hash", p256, func(s *softSigner, _ crypto.Signer) {
		s.signMessage = edit(s.signMessage, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil && opts.HashFunc() != 0 {
				opts.HashFunc().New()
			}
			return in, opts
		})
	}, []string{"SignMessage of a message of 100 bytes with an unknown hash: it panicked"}},

	{"guesses without options", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts == nil {
				opts = crypto.SHA256
			}
			return in, opts
		})
	}, []string{"with nil options: got a signature: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input; want an error"}},

	{"needs rand", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if r == nil {
				return nil, errRefused
			}
			return sign(r, digest, opts)
		}
	}, []string{"with SHA-256, rand nil: got an error: refused"}},

	{"changes its input", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			sig, err := sign(r, digest, opts)
			clear(digest)
			return sig, err
		}
	}, []string{"it changed its input"}},

	{"appends to its input", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.signMessage
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			return sign(r, append(msg, 1)[:len(msg)], opts)
		}
	}, []string{"or the memory behind it that append uses"}},

	{"keeps its input", p256, func(s *softSigner, _ crypto.Signer) {
		var made sync.Map // by the address of the digest
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == nil || len(digest) == 0 {
				return nil, errRefused
			}
			if sig, ok := made.Load(&digest[0]); ok {
				return bytes.Clone(sig.([]byte)), nil
			}
			sig, err := sign(r, digest, opts)
			if err == nil {
				made.Store(&digest[0], sig)
			}
			return sig, err
		}
	}, []string{"in the buffer of the call before: the signature does not verify: it is an ECDSA signature over what another call was given"}},

	{"returns one buffer", ed, func(s *softSigner, _ crypto.Signer) {
		var lock sync.Mutex
		var buf [64]byte
		s.sign = editSig(s.sign, func(sig []byte) []byte {
			lock.Lock()
			defer lock.Unlock()
			return append(buf[:0], sig...)
		})
	}, []string{"it changed the signature of the call before", "the signature changed with that of the call before",
		"in one of 16 goroutines: the signature does not verify: it is pure Ed25519 over what another call was given"}},

	{"returns parts of one buffer", ed, func(s *softSigner, _ crypto.Signer) {
		var lock sync.Mutex
		buf := make([]byte, 0, 1<<16)
		s.sign = editSig(s.sign, func(sig []byte) []byte {
			lock.Lock()
			defer lock.Unlock()
			buf = append(buf, sig...)
			return buf[len(buf)-len(sig):]
		})
	}, []string{"the signature changed with that of the call before, or with the memory behind that"}},

	{"keeps what it returned", ed, func(s *softSigner, _ crypto.Signer) {
		var made sync.Map // by digest
		sign := s.sign
		s.sign = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if sig, ok := made.Load(string(msg)); ok && opts != nil && opts.HashFunc() == 0 {
				return sig.([]byte), nil
			}
			sig, err := sign(r, msg, opts)
			if err == nil {
				made.Store(string(msg), sig)
			}
			return sig, err
		}
	}, []string{"whose last signature the caller has overwritten: the signature does not verify"}},

	{"not safe for goroutines", p256, func(s *softSigner, _ crypto.Signer) {
		var shared atomic.Pointer[[]byte] // atomic: right to the race detector, and wrong
		var inside atomic.Int64
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			shared.Store(&digest)
			inside.Add(1)
			defer inside.Add(-1)
			for range 1000 { // let another come in
				if inside.Load() > 1 {
					break
				}
				runtime.Gosched()
			}
			return sign(r, *shared.Load(), opts)
		}
	}, []string{"in one of 16 goroutines: the signature does not verify: it is an ECDSA signature over what another call was given"}},

	{"panics in goroutines", p256, func(s *softSigner, _ crypto.Signer) {
		var calls atomic.Int64
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if calls.Add(1) == 20 { // after the 15 that are made one by one
				panic("concurrent map writes")
			}
			return sign(r, digest, opts)
		}
	}, []string{"in one of 16 goroutines: it panicked: concurrent map writes"}},

	{"SignMessage with another hash", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == nil || opts.HashFunc() != crypto.SHA256 {
				return nil, errRefused
			}
			return sign(r, digestOf(crypto.SHA512, msg)[:32], opts)
		}
	}, []string{"SignMessage of a message of 100 bytes with SHA-256: the signature does not verify: it is an ECDSA signature over the SHA-512 of the input",
		"it is an ECDSA signature over the SHA-512 of the input"}},

	{"SignMessage ignores the hash", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.signMessage = func(r io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) {
			return sign(r, digestOf(crypto.SHA256, msg), crypto.SHA256)
		}
	}, []string{"with SHA-384: the signature does not verify: it is an ECDSA signature over the SHA-256 of the input",
		"with SHA-512: the signature does not verify", "with SHA3-256: the signature does not verify",
		"with no hash: the signature does not verify", "with an unknown hash: got a signature"}},

	{"SignMessage hashes twice", p256, func(s *softSigner, _ crypto.Signer) {
		s.signMessage = edit(s.signMessage, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return digestOf(crypto.SHA256, in), opts
		})
	}, []string{"it is an ECDSA signature over the SHA-256 of the SHA-256 of the input"}},

	{"SignMessage does not hash", p256, func(s *softSigner, key crypto.Signer) {
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == nil || opts.HashFunc() != crypto.SHA256 {
				return nil, errRefused
			}
			return ecdsa.SignASN1(rand.Reader, key.(*ecdsa.PrivateKey), resize(msg, max(len(msg), 1)))
		}
	}, []string{"the signature does not verify: it is an ECDSA signature over the input"}},

	{"SignMessage cuts long messages", p256, func(s *softSigner, _ crypto.Signer) {
		s.signMessage = edit(s.signMessage, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return in[:min(len(in), 4096)], opts
		})
	}, []string{"SignMessage of a message of 5000 bytes with SHA-256: the signature does not verify: it is an ECDSA signature over the SHA-256 of the first 4096 bytes"}},

	{"SignMessage takes what KMS takes", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.signMessage
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if len(msg) < 1 || len(msg) > 4096 {
				return nil, errRefused
			}
			return sign(r, msg, opts)
		}
	}, []string{"SignMessage of a message of 0 bytes", "SignMessage of a message of 5000 bytes"}},

	{"ignores PSS options", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil {
				opts = opts.HashFunc()
			}
			return in, opts
		})
	}, []string{"does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input; want a right signature: *rsa.PSSOptions ask for RSASSA-PSS",
		"it is RSASSA-PKCS1-v1_5 and SHA-384", "it is RSASSA-PKCS1-v1_5 and SHA-512", "it is RSASSA-PKCS1-v1_5 and SHA-256"}},

	{"PSS only", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if h, ok := opts.(crypto.Hash); ok && h != 0 && h.Available() {
				opts = newPSS(opts, rsa.PSSSaltLengthEqualsHash)
			}
			return in, opts
		})
	}, []string{"RSASSA-PKCS1-v1_5 and SHA-256: the signature does not verify: it is RSASSA-PSS, SHA-256 and a salt of 32 bytes",
		"RSASSA-PKCS1-v1_5 and SHA-256", "RSASSA-PKCS1-v1_5 and SHA-384", "RSASSA-PKCS1-v1_5 and SHA-512"}},

	{"maximum salt", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if pss, ok := opts.(*rsa.PSSOptions); ok && (pss.SaltLength == -1 || pss.SaltLength >= 32) {
				opts = newPSS(opts, rsa.PSSSaltLengthAuto)
			}
			return in, opts
		})
	}, []string{"PSSSaltLengthEqualsHash: the signature does not verify: it is RSASSA-PSS, SHA-256 and a salt of 222 bytes over the input",
		"a salt of 222 bytes", "a salt of 206 bytes", "a salt of 190 bytes"}},

	{"no salt", rsa2048, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			sig, err := sign(r, digest, opts)
			if pss, ok := opts.(*rsa.PSSOptions); err == nil && ok && pss.SaltLength == rsa.PSSSaltLengthEqualsHash && pss.Hash == crypto.SHA256 {
				return signPSSWithoutSalt(key.(*rsa.PrivateKey), digest), nil
			}
			return sig, err
		}
	}, []string{"the signature does not verify: it is RSASSA-PSS, SHA-256 and no salt over the input"}},

	{"ignores the salt length", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if _, ok := opts.(*rsa.PSSOptions); ok {
				opts = newPSS(opts, rsa.PSSSaltLengthEqualsHash)
			}
			return in, opts
		})
	}, []string{"a salt of 20 bytes: the signature does not verify: it is RSASSA-PSS, SHA-256 and a salt of 32 bytes over the input; " +
		"want a right signature or an error: a salt length that is asked for is obeyed or refused",
		"a salt of -2 bytes: got a signature: it is RSASSA-PSS, SHA-256 and a salt of 32 bytes", "a salt of 256 bytes: got a signature"}},

	{"ignores the RSA hash", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if h, ok := opts.(crypto.Hash); ok && h.Available() && len(in) > 32 {
				return in[:32], crypto.SHA256
			}
			return in, opts
		})
	}, []string{"RSASSA-PKCS1-v1_5 and SHA-384: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input cut to 32 bytes",
		"RSASSA-PKCS1-v1_5 and SHA-512: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input cut to 32 bytes",
		"SHA-256: got a signature"}},

	{"takes the hash from the length", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			pss, ok := opts.(*rsa.PSSOptions)
			switch {
			case opts == nil || len(in) != 32:
			case ok:
				opts = &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: pss.SaltLength}
			default:
				opts = crypto.SHA256
			}
			return in, opts
		})
	}, []string{"RSASSA-PKCS1-v1_5 and SHA3-256: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input",
		"RSASSA-PSS, SHA3-256 and PSSSaltLengthEqualsHash: the signature does not verify: it is RSASSA-PSS, SHA-256 and a salt of 32 bytes over the input",
		"RSASSA-PKCS1-v1_5 and an unknown hash: got a signature", "RSASSA-PSS and an unknown hash: got a signature", "RSASSA-PSS and no hash: got a signature"}},

	{"prehashes what is not hashed", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == crypto.Hash(0) {
				return sign(r, digestOf(crypto.SHA256, in), crypto.SHA256)
			}
			return sign(r, in, opts)
		}
	}, []string{"RSASSA-PKCS1-v1_5 and no hash: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the SHA-256 of the input"}},

	{"forgets the hash", rsa2048, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if sig, err := sign(r, in, opts); err != nil || opts != crypto.SHA256 {
				return sig, err
			}
			return key.Sign(r, in, crypto.Hash(0))
		}
	}, []string{"the signature does not verify: it is RSASSA-PKCS1-v1_5 without a hash over the input"}},

	{"drops a byte of RSA", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return sig[1:] })
	}, []string{"the signature has 255 bytes, and not 256 as the modulus"}},

	{"one algorithm", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if _, ok := opts.(*rsa.PSSOptions); ok || opts == nil || opts.HashFunc() != crypto.SHA256 {
				return nil, errRefused
			}
			return sign(r, digest, opts)
		}
	}, []string{"RSASSA-PSS, SHA-256 and PSSSaltLengthEqualsHash: got an error: refused", "RSASSA-PSS", "RSASSA-PKCS1-v1_5 and SHA-384", "RSASSA-PKCS1-v1_5 and SHA-512"}},

	{"refuses PSSSaltLengthAuto", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.signMessage
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if pss, ok := opts.(*rsa.PSSOptions); ok && pss.SaltLength == rsa.PSSSaltLengthAuto {
				return nil, errRefused
			}
			return sign(r, msg, opts)
		}
	}, []string{"PSSSaltLengthAuto: got an error: refused"}},

	{"Ed25519ph like KMS", ed, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts != nil && opts.HashFunc() == crypto.SHA512 && len(in) == 64 {
				again := sha512.Sum512(in)
				return key.Sign(rand.Reader, again[:], opts)
			}
			return sign(r, in, opts)
		}
	}, []string{"with Ed25519ph: the signature does not verify: it is Ed25519ph over the SHA-512 of the input; want a right signature or an error",
		"with Ed25519ph, as crypto.SHA512: the signature does not verify: it is Ed25519ph over the SHA-512 of the input"}},

	{"Ed25519ph over any length", ed, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts != nil && opts.HashFunc() == crypto.SHA512 {
				return key.Sign(rand.Reader, resize(in, 64), opts)
			}
			return sign(r, in, opts)
		}
	}, []string{"Sign of a digest of 63 bytes with Ed25519ph: got a signature: it is Ed25519ph over the input filled up to 64 bytes",
		"Sign of a digest of 0 bytes", "Sign of a digest of 65 bytes"}},

	{"ignores all Ed25519 options", ed, func(s *softSigner, key crypto.Signer) {
		s.sign = func(_ io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) {
			return ed25519.Sign(key.(ed25519.PrivateKey), msg), nil
		}
	}, []string{"with a context: the signature does not verify: it is pure Ed25519 over the input",
		"with a context of 256 bytes: got a signature", "with SHA-256: got a signature", "with an unknown hash: got a signature",
		"with Ed25519ph: got a signature", "with Ed25519ph, as crypto.SHA512: the signature does not verify", "with Ed25519ph: the signature does not verify: it is pure Ed25519 over the input"}},

	{"cuts long Ed25519 messages", ed, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return in[:min(len(in), 4096)], opts
		})
	}, []string{"Sign of a message of 5000 bytes with HashFunc 0: the signature does not verify: it is pure Ed25519 over the first 4096 bytes of the input"}},

	{"replaces empty Ed25519 messages", ed, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return resize(in, max(len(in), 1)), opts
		})
	}, []string{"Sign of a message of 0 bytes with HashFunc 0: the signature does not verify"}},

	{"refuses long Ed25519 messages too early", ed, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if len(msg) == 1 || len(msg) > 1024 {
				return nil, errRefused
			}
			return sign(r, msg, opts)
		}
	}, []string{"Sign of a message of 4096 bytes", "Sign of a message of 1 bytes"}},

	{"short Ed25519 signature", ed, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return sig[:63] })
	}, []string{"the signature has 63 bytes, and not 64"}},

	{"ignores ML-DSA options", ml, func(s *softSigner, key crypto.Signer) {
		s.sign = func(_ io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) { return key.Sign(nil, msg, nil) }
	}, []string{"with a context: the signature does not verify: it is ML-DSA with an empty context over the input",
		"with a context of 256 bytes: got a signature", "with SHA-256: got a signature: it is ML-DSA with an empty context over the input",
		"with MLDSAMu: the signature does not verify: it is ML-DSA with an empty context over the input", "with MLDSAMu: got a signature",
		"with an unknown hash: got a signature"}},

	{"ML-DSA key that panics on nil opts", ml, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			opts.HashFunc()
			return in, opts
		})
	}, []string{"Sign of a message of 100 bytes with nil options: it panicked"}},

	{"fills up mu", ml, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == mldsacrypto.MLDSAMu {
				return key.Sign(r, resize(in, 64), opts)
			}
			return sign(r, in, opts)
		}
	}, []string{"of 63 bytes with MLDSAMu: got a signature", "of 0 bytes with MLDSAMu", "of 65 bytes with MLDSAMu"}},

	{"takes ML-DSA messages that KMS takes whole", ml, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if len(msg) < 1 || len(msg) > 4096 {
				return nil, errRefused
			}
			return sign(r, msg, opts)
		}
	}, []string{"Sign of a message of 0 bytes", "Sign of a message of 5000 bytes"}},

	{"long ML-DSA signature", ml, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return append(sig, 0) })
	}, []string{"the signature has 2421 bytes, and not 2420"}},
}

func p256() crypto.Signer    { return ecKey(elliptic.P256()) }
func p521() crypto.Signer    { return ecKey(elliptic.P521()) }
func secp() crypto.Signer    { return secpKey().ToECDSA() }
func rsa2048() crypto.Signer { return rsaKey() }
func ed() crypto.Signer      { return edKey() }
func ml() crypto.Signer      { return mldsaKey(mldsa.MLDSA44()) }

// Each broken signer is caught, for what it breaks and for nothing else.
func TestCheckSignerBroken(t *testing.T) {
	for _, tt := range brokenSigners {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := tt.key()
			s := soft(key)
			tt.spoil(s, key)
			err := kmstest.CheckSigner(s)
			if err == nil {
				t.Fatal("CheckSigner found nothing")
			}
			violations := err.(interface{ Unwrap() []error }).Unwrap()
			for i, v := range violations {
				if slices.ContainsFunc(violations[:i], func(other error) bool { return other.Error() == v.Error() }) {
					t.Errorf("found twice:\n%v", v)
				}
				if !slices.ContainsFunc(tt.want, func(want string) bool { return strings.Contains(v.Error(), want) }) {
					t.Errorf("found something else than %q:\n%v", tt.want, v)
				}
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("did not find %q, but:\n%v", want, err)
				}
			}
		})
	}
}

// rawSignature makes R‖S of DER.
func rawSignature(der []byte) []byte {
	var inner cryptobyte.String
	var r, s []byte
	input := cryptobyte.String(der)
	input.ReadASN1(&inner, cbasn1.SEQUENCE)
	inner.ReadASN1Integer(&r)
	inner.ReadASN1Integer(&s)
	raw := make([]byte, 64)
	copy(raw[32-len(r):], r)
	copy(raw[64-len(s):], s)
	return raw
}

// signWithNonce is ECDSA (FIPS 186-5 section 6.4.1) with a given nonce.
func signWithNonce(key *ecdsa.PrivateKey, nonce *secp256k1.PrivateKey, digest []byte) []byte {
	var d, e, r, s, inverse secp256k1.ModNScalar
	//lint:ignore SA1019 PrivateKey.Bytes does not know this curve.
	d.SetByteSlice(key.D.Bytes())
	e.SetByteSlice(digest)
	r.SetByteSlice(nonce.PubKey().SerializeCompressed()[1:])
	s.Mul2(&d, &r).Add(&e).Mul(inverse.InverseValNonConst(&nonce.Key))
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, x := range [][32]byte{r.Bytes(), s.Bytes()} {
			b.AddASN1BigInt(new(big.Int).SetBytes(x[:]))
		}
	})
	return b.BytesOrPanic()
}

// signPSSWithoutSalt is RSASSA-PSS (RFC 8017 section 9.1.1) with SHA-256 and an
// empty salt, for which crypto/rsa has no option.
func signPSSWithoutSalt(key *rsa.PrivateKey, digest []byte) []byte {
	h := sha256.Sum256(slices.Concat(make([]byte, 8), digest))
	em := make([]byte, key.Size())
	db := em[:len(em)-len(h)-1]
	db[len(db)-1] = 1
	for i, block := 0, []byte(nil); i < len(db); i++ { // MGF1
		if i%32 == 0 {
			b := sha256.Sum256(append(h[:], 0, 0, 0, byte(i/32)))
			block = b[:]
		}
		db[i] ^= block[i%32]
	}
	db[0] &= 0x7f
	copy(em[len(db):], h[:])
	em[len(em)-1] = 0xbc
	return new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N).FillBytes(make([]byte, key.Size()))
}

func TestCheckSignerNil(t *testing.T) {
	half := &ecdsa.PrivateKey{PublicKey: ecKey(elliptic.P256()).PublicKey} // its Sign panics
	for _, signer := range []crypto.Signer{nil, (*rsa.PrivateKey)(nil), (*ecdsa.PrivateKey)(nil), ed25519.PrivateKey(nil), half} {
		if err := kmstest.CheckSigner(signer); err == nil {
			t.Errorf("%T: CheckSigner found nothing", signer)
		}
	}
}

// Only the standard library's own types may panic: a type around one of them is
// another type.
func TestCheckSignerWrapped(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), edKey()} {
		err := kmstest.CheckSigner(struct{ crypto.Signer }{key})
		if err == nil {
			t.Fatalf("%T: CheckSigner found nothing", key)
		}
		for violation := range strings.Lines(err.Error()) {
			if !strings.Contains(violation, "it panicked") {
				t.Errorf("%T: found something else than panics: %s", key, violation)
			}
		}
		if !strings.Contains(err.Error(), "nil options: it panicked") {
			t.Errorf("%T: did not find the panic on nil options, but:\n%v", key, err)
		}
	}
}

// The signer's own error can be had from a violation.
func TestCheckSignerErrors(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	signer, err := kmssigner.New(t.Context(), fake, keyID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &keyID}); err != nil {
		t.Fatal(err)
	}
	err = kmstest.CheckSigner(signer)
	if _, ok := errors.AsType[*types.DisabledException](err); !ok {
		t.Errorf("no DisabledException in:\n%v", err)
	}
}
