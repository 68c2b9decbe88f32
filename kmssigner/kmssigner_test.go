//lint:file-ignore SA1019 the deprecated fields are what emulators fill and what broken keys lack

package kmssigner_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha3" // for refusals: crypto.SHA3_256 is available and yet not KMS's
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func TestSign(t *testing.T) {
	for _, spec := range specs {
		t.Run(string(spec), func(t *testing.T) {
			eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
				signer := newSigner(t, client, fake.AddKey(spec))
				for _, opts := range optsFor(spec) {
					// 5000 bytes are more than KMS takes as a message.
					for _, msg := range [][]byte{nil, []byte("message"), make([]byte, 5000)} {
						for name, sign := range map[string]func() ([]byte, error){
							"Sign":        func() ([]byte, error) { return signer.Sign(nil, digestOf(opts, msg), opts) },
							"SignMessage": func() ([]byte, error) { return signer.SignMessage(nil, msg, opts) },
						} {
							sig, err := sign()
							if spec == types.KeySpecEccNistEdwards25519 && len(msg) != 7 {
								if sig != nil || !errors.Is(err, kmssigner.ErrMessageLength) {
									t.Errorf("%s of %d bytes: %x, %v; want ErrMessageLength", name, len(msg), sig, err)
								}
								continue
							}
							if err != nil {
								t.Fatalf("%s with %+v: %v", name, opts, err)
							}
							if err := verify(signer.Public(), msg, sig, opts); err != nil {
								t.Errorf("%s with %+v: %v", name, opts, err)
							}
						}
					}
				}
			})
		})
	}
}

// TestSignRefuses has what Sign and SignMessage refuse. They make no call, and
// the error says what the options ask for and what the key wants.
func TestSignRefuses(t *testing.T) {
	sum := func(h crypto.Hash) []byte { return make([]byte, h.Size()) }
	tests := []struct {
		reason string
		spec   types.KeySpec
		digest []byte
		opts   crypto.SignerOpts
		want   string
	}{
		{"nil opts, RSA: there is a choice of padding and hash", types.KeySpecRsa2048, sum(crypto.SHA256), nil, "opts is nil, an RSA key wants SHA-256, SHA-384 or SHA-512"},
		{"nil opts, Ed25519", types.KeySpecEccNistEdwards25519, []byte("message"), nil, "opts is nil, an Ed25519 key wants HashFunc 0"},
		{"nil opts, ML-DSA", types.KeySpecMlDsa44, []byte("message"), nil, "opts is nil, an ML-DSA key wants HashFunc 0"},
		{"a nil pointer in opts would panic too", types.KeySpecRsa2048, sum(crypto.SHA256), (*rsa.PSSOptions)(nil), "opts is a nil *rsa.PSSOptions"},
		{"no hash means an unhashed message, which KMS has no RSA mode for", types.KeySpecRsa2048, []byte("message"), crypto.Hash(0), "opts ask for no hash, an RSA key wants SHA-256, SHA-384 or SHA-512"},
		{"no hash, ECDSA: a message is not taken for a digest", types.KeySpecEccNistP256, sum(crypto.SHA256), crypto.Hash(0), "opts ask for no hash, an ECDSA key wants a SHA-2 or SHA-3 hash"},
		{"a zero Signer as options has no hash", types.KeySpecEccNistP256, sum(crypto.SHA256), new(kmssigner.Signer), "opts ask for no hash"},
		{"a nil Signer as options has no hash", types.KeySpecEccNistP256, sum(crypto.SHA256), (*kmssigner.Signer)(nil), "opts ask for no hash"},
		{"PSS options without a hash", types.KeySpecRsa2048, sum(crypto.SHA256), &rsa.PSSOptions{}, "opts ask for RSASSA-PSS with no hash"},
		{"SHA-1 is broken, RSA", types.KeySpecRsa2048, sum(crypto.SHA1), crypto.SHA1, "opts ask for SHA-1, an RSA key wants"},
		{"SHA-1 is broken, ECDSA", types.KeySpecEccNistP256, sum(crypto.SHA1), crypto.SHA1, "opts ask for SHA-1, an ECDSA key wants"},
		{"MD5 is broken", types.KeySpecEccNistP521, sum(crypto.MD5), crypto.MD5, "opts ask for MD5, an ECDSA key wants"},
		{"MD5 and SHA-1, as TLS 1.1 uses them", types.KeySpecEccNistP256, sum(crypto.MD5SHA1), crypto.MD5SHA1, "opts ask for MD5+SHA1, an ECDSA key wants"},
		{"the encoding of an RSA signature names the hash, and KMS has no SHA3-256", types.KeySpecRsa2048, sum(crypto.SHA3_256), crypto.SHA3_256, "opts ask for SHA3-256, an RSA key wants"},
		{"SHA-512/256 likewise", types.KeySpecRsa2048, sum(crypto.SHA512_256), crypto.SHA512_256, "opts ask for SHA-512/256, an RSA key wants"},
		{"a hash not linked in", types.KeySpecEccNistP256, sum(crypto.BLAKE2b_256), crypto.BLAKE2b_256, "opts ask for BLAKE2b-256"},
		{"a hash that does not exist", types.KeySpecEccNistP256, sum(crypto.SHA256), crypto.Hash(99), "opts ask for unknown hash value 99"},
		{"digest short by one", types.KeySpecEccNistP256, make([]byte, 31), crypto.SHA256, "digest has 31 bytes, want 32, the length of SHA-256"},
		{"digest long by one", types.KeySpecRsa2048, make([]byte, 65), crypto.SHA512, "digest has 65 bytes, want 64"},
		{"no digest", types.KeySpecEccNistP384, nil, crypto.SHA384, "digest has 0 bytes, want 48"},
		{"a digest to be padded must have its own length", types.KeySpecEccNistP384, make([]byte, 48), crypto.SHA256, "digest has 48 bytes, want 32, the length of SHA-256"},
		{"a digest to be cut must have its own length", types.KeySpecEccNistP256, make([]byte, 32), crypto.SHA512, "digest has 32 bytes, want 64, the length of SHA-512"},
		{"PSS is for RSA", types.KeySpecEccNistP256, sum(crypto.SHA256), &rsa.PSSOptions{Hash: crypto.SHA256}, "opts ask for RSASSA-PSS with SHA-256, an ECDSA key wants"},
		{"PSS is for RSA, Ed25519", types.KeySpecEccNistEdwards25519, []byte("message"), &rsa.PSSOptions{}, "opts ask for RSASSA-PSS with no hash, an Ed25519 key wants"},
		{"PSS is for RSA, ML-DSA", types.KeySpecMlDsa44, []byte("message"), &rsa.PSSOptions{}, "opts ask for RSASSA-PSS with no hash, an ML-DSA key wants"},
		{"KMS makes a salt of 32 bytes only", types.KeySpecRsa2048, sum(crypto.SHA256), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 20}, "opts ask for a PSS salt of 20 bytes, want 32"},
		{"a salt of the length of another hash", types.KeySpecRsa2048, sum(crypto.SHA512), &rsa.PSSOptions{Hash: crypto.SHA512, SaltLength: 32}, "opts ask for a PSS salt of 32 bytes, want 64"},
		{"KMS hashes an Ed25519ph digest again", types.KeySpecEccNistEdwards25519, sum(crypto.SHA512), &ed25519.Options{Hash: crypto.SHA512},
			"opts ask for SHA-512, an Ed25519 key wants HashFunc 0 and the message itself; no Ed25519ph, because KMS hashes the digest a second time"},
		{"the same, without the type", types.KeySpecEccNistEdwards25519, sum(crypto.SHA512), crypto.SHA512, "no Ed25519ph"},
		{"Ed25519 has its own hash", types.KeySpecEccNistEdwards25519, sum(crypto.SHA256), crypto.SHA256, "opts ask for SHA-256, an Ed25519 key wants HashFunc 0"},
		{"KMS makes no Ed25519ctx", types.KeySpecEccNistEdwards25519, []byte("message"), &ed25519.Options{Context: "c"}, "opts ask for an Ed25519 context"},
		{"a nil pointer, Ed25519", types.KeySpecEccNistEdwards25519, []byte("message"), (*ed25519.Options)(nil), "opts is a nil *ed25519.Options"},
		{"an ML-DSA context with Ed25519", types.KeySpecEccNistEdwards25519, []byte("message"), &mldsa.Options{Context: "c"}, "opts ask for an ML-DSA context, the key signs with ED25519_SHA_512"},
		{"a nil pointer, ML-DSA", types.KeySpecMlDsa44, []byte("message"), (*mldsa.Options)(nil), "opts is a nil *mldsa.Options"},
		{"HashML-DSA is not in KMS", types.KeySpecMlDsa44, sum(crypto.SHA256), crypto.SHA256, "opts ask for SHA-256, an ML-DSA key wants HashFunc 0"},
		{"FIPS 204 allows 255 bytes", types.KeySpecMlDsa65, []byte("message"), &mldsa.Options{Context: strings.Repeat("c", 256)}, "ML-DSA context has 256 bytes, want at most 255"},
		{"a mu for another kind of key", types.KeySpecEccNistP256, make([]byte, 64), mldsacrypto.MLDSAMu, "opts ask for an ML-DSA mu, an ECDSA key wants"},
		{"a salt length that means nothing", types.KeySpecRsa2048, sum(crypto.SHA256), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: -2}, "opts ask for a PSS salt of -2 bytes, want 32"},
	}
	fake := kmstest.New()
	keys := map[types.KeySpec]*kmssigner.Signer{} // all on one client
	client := &spy{Client: fake}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			if keys[tt.spec] == nil {
				keys[tt.spec] = newSigner(t, client, fake.AddKey(tt.spec))
			}
			signer := keys[tt.spec]
			check := func(method string, sig []byte, err error) {
				t.Helper()
				if sig != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s = %x, %v; want an error with %q", method, sig, err, tt.want)
				}
				if prefix := "kmssigner: sign with \"" + signer.KeyARN() + "\": "; err != nil && !strings.HasPrefix(err.Error(), prefix) {
					t.Errorf("%s: error %q, want the prefix %q", method, err, prefix)
				}
			}
			sig, err := signer.Sign(nil, tt.digest, tt.opts)
			check("Sign", sig, err)
			if !strings.Contains(tt.want, "digest has") {
				sig, err = signer.SignMessage(nil, tt.digest, tt.opts)
				check("SignMessage", sig, err)
			}
		})
	}
	if len(client.signs) != 0 {
		t.Errorf("%d calls reached KMS, want none", len(client.signs))
	}
}

func TestNewKeyIDForms(t *testing.T) {
	eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		keyID := fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/team/Token_Signing-1", keyID)
		keyARN := newSigner(t, client, keyID).KeyARN()
		aliasARN := strings.TrimSuffix(keyARN, "key/"+keyID) + "alias/team/Token_Signing-1"
		for _, form := range []string{keyID, keyARN, "alias/team/Token_Signing-1", aliasARN} {
			calls := &spy{Client: client}
			signer := newSigner(t, calls, form)
			if got := signer.KeyARN(); got != keyARN {
				t.Errorf("New(%q).KeyARN() = %q, want %q", form, got, keyARN)
			}
			if len(calls.gets) != 1 || *calls.gets[0].KeyId != form {
				t.Errorf("New(%q) made the calls %v, want one with that key ID", form, calls.gets)
			}
			if _, err := signer.SignMessage(nil, []byte("m"), crypto.SHA256); err != nil {
				t.Errorf("New(%q): %v", form, err)
			}
			if got := *calls.signs[0].KeyId; got != keyARN {
				t.Errorf("New(%q): signed with key ID %q, want the pinned %q", form, got, keyARN)
			}
		}
	})
}

// TestNewOtherPartitions has ARNs of other Regions and partitions, so that no
// part of an ARN is assumed.
func TestNewOtherPartitions(t *testing.T) {
	for _, region := range []string{"eu-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1"} {
		fake := kmstest.New(func(o *kmstest.Options) { o.Region = region })
		signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
		if !strings.Contains(signer.KeyARN(), ":kms:"+region+":") {
			t.Errorf("%s: KeyARN() = %q", region, signer.KeyARN())
		}
		offline := newSigner(t, fake, signer.KeyARN(), func(o *kmssigner.Options) { o.PublicKey = signer.Public() })
		if _, err := offline.SignMessage(nil, nil, crypto.SHA256); err != nil {
			t.Errorf("%s: %v", region, err)
		}
	}
}

// TestMultiRegionKey has key IDs of another form, which begin with "mrk-".
func TestMultiRegionKey(t *testing.T) {
	fake := kmstest.New()
	out, err := fake.CreateKey(t.Context(), &kms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	keyID, keyARN := *out.KeyMetadata.KeyId, *out.KeyMetadata.Arn
	if !strings.HasPrefix(keyID, "mrk-") {
		t.Fatalf("the key's ID is %q", keyID)
	}
	for _, form := range []string{keyID, keyARN} {
		signer := newSigner(t, fake, form)
		if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil || signer.KeyARN() != keyARN {
			t.Errorf("New(%q): %v, KeyARN() = %q", form, err, signer.KeyARN())
		}
	}
}

// TestOtherAccount names a key of another account by its key ARN and by an
// alias ARN.
func TestOtherAccount(t *testing.T) {
	owner := kmstest.New(func(o *kmstest.Options) { o.AccountID = "444455556666" })
	keyID := owner.AddKey(types.KeySpecEccNistP256)
	createAlias(t, owner, "alias/shared", keyID)
	for _, form := range []string{
		"arn:aws:kms:us-east-1:444455556666:key/" + keyID,
		"arn:aws:kms:us-east-1:444455556666:alias/shared",
	} {
		signer := newSigner(t, owner, form)
		if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil || signer.KeyARN() != "arn:aws:kms:us-east-1:444455556666:key/"+keyID {
			t.Errorf("New(%q): %v, KeyARN() = %q", form, err, signer.KeyARN())
		}
	}
}

// TestNothingIsShared changes what was given to New, and the requests that the
// client gets. Neither affects the Signer.
func TestNothingIsShared(t *testing.T) {
	fake := kmstest.New()
	online := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
	public := *online.Public().(*ecdsa.PublicKey)
	applied := 0
	options := make([]func(*kms.Options), 1, 8)
	options[0] = func(*kms.Options) { applied++ }
	client := &spy{Client: fake}
	signer := newSigner(t, client, online.KeyARN(), func(o *kmssigner.Options) {
		o.PublicKey, o.ClientOptions = &public, options
	})
	options[0] = func(*kms.Options) { t.Error("the caller's slice is used") }
	public.X = new(big.Int).Add(public.X, big.NewInt(1))
	for range 2 {
		if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
			t.Fatal(err)
		}
		*client.signs[len(client.signs)-1].KeyId = "changed by the client"
	}
	if applied != 2 {
		t.Errorf("the client options were applied %d times, want 2", applied)
	}
}

func TestNewRefuses(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	ctx := t.Context()
	edit := func(edit func(*kms.GetPublicKeyOutput)) kmssigner.Client {
		return &spy{Client: fake, editGet: func(out *kms.GetPublicKeyOutput) (*kms.GetPublicKeyOutput, error) {
			edit(out)
			return out, nil
		}}
	}
	other := func(spec types.KeySpec) *kms.GetPublicKeyOutput {
		out, err := fake.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(fake.AddKey(spec))})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	rsaKey, p384 := other(types.KeySpecRsa2048), other(types.KeySpecEccNistP384)
	p224Key, err := ecdsa.GenerateKey(elliptic.P224(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := x509.MarshalPKIXPublicKey(p224Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		reason string
		client kmssigner.Client
		keyID  string
		is     error
		want   string
	}{
		{"nil client", nil, keyID, nil, "client is nil"},
		{"no key ID", fake, "", nil, "key ID is empty"},
		{"encryption key", edit(func(o *kms.GetPublicKeyOutput) { o.KeyUsage = types.KeyUsageTypeEncryptDecrypt }), keyID,
			kmssigner.ErrUnsupportedKey, `its key usage is "ENCRYPT_DECRYPT", want "SIGN_VERIFY"`},
		{"key agreement key", edit(func(o *kms.GetPublicKeyOutput) { o.KeyUsage = types.KeyUsageTypeKeyAgreement }), keyID,
			kmssigner.ErrUnsupportedKey, `its key usage is "KEY_AGREEMENT"`},
		{"a spec of the future", edit(func(o *kms.GetPublicKeyOutput) { o.KeySpec = "SLH_DSA_128S"; o.PublicKey = []byte{1} }), keyID,
			kmssigner.ErrUnsupportedKey, "its key spec is SLH_DSA_128S"},
		{"only the deprecated spec, of the future", edit(func(o *kms.GetPublicKeyOutput) { o.KeySpec = ""; o.CustomerMasterKeySpec = "SM2" }), keyID,
			kmssigner.ErrUnsupportedKey, "its key spec is SM2, for which Go has no type and JOSE no algorithm"},
		{"spec and public key disagree", edit(func(o *kms.GetPublicKeyOutput) { o.PublicKey = p384.PublicKey }), keyID,
			nil, "key spec ECC_NIST_P256 and a public key of spec ECC_NIST_P384"},
		{"spec and kind of key disagree", edit(func(o *kms.GetPublicKeyOutput) { o.PublicKey = rsaKey.PublicKey }), keyID,
			nil, "key spec ECC_NIST_P256 and a public key of spec RSA_2048"},
		{"public key is garbage", edit(func(o *kms.GetPublicKeyOutput) { o.PublicKey = []byte("garbage") }), keyID,
			nil, "parse public key"},
		{"public key with a byte too many", edit(func(o *kms.GetPublicKeyOutput) { o.PublicKey = append(o.PublicKey, 0) }), keyID,
			nil, "parse public key"},
		{"public key cut off", edit(func(o *kms.GetPublicKeyOutput) { o.PublicKey = o.PublicKey[:50] }), keyID,
			nil, "parse public key"},
		{"a curve that KMS does not have, from an emulator without specs", edit(func(o *kms.GetPublicKeyOutput) {
			o.KeySpec, o.CustomerMasterKeySpec, o.PublicKey = "", "", p224
		}), keyID, kmssigner.ErrUnsupportedKey, "curve P-224, want P-256, P-384, P-521 or decred's secp256k1"},
		{"no public key", edit(func(o *kms.GetPublicKeyOutput) { o.PublicKey = nil }), keyID,
			nil, "KMS answered without a public key"},
		{"no algorithm that fits", edit(func(o *kms.GetPublicKeyOutput) {
			o.SigningAlgorithms = []types.SigningAlgorithmSpec{"ECDSA_SHA_384"}
		}), keyID, kmssigner.ErrUnsupportedKey, `its signing algorithms are ["ECDSA_SHA_384"], want any of ["ECDSA_SHA_256"]`},
		{"no algorithms", edit(func(o *kms.GetPublicKeyOutput) { o.SigningAlgorithms = nil }), keyID,
			kmssigner.ErrUnsupportedKey, "its signing algorithms are []"},
		{"an empty answer with status 200", edit(func(o *kms.GetPublicKeyOutput) { *o = kms.GetPublicKeyOutput{} }), keyID,
			nil, `KMS answered for the key "", want a key ARN`},
		{"an alias for an answer pins nothing", edit(func(o *kms.GetPublicKeyOutput) { o.KeyId = aws.String("alias/x") }), keyID,
			nil, `for the key "alias/x"`},
		{"the answer of another key", edit(func(o *kms.GetPublicKeyOutput) { o.KeyId = rsaKey.KeyId }), keyID,
			kmssigner.ErrKeyChanged, *rsaKey.KeyId},
		{"neither an answer nor an error", &spy{Client: fake, editGet: func(*kms.GetPublicKeyOutput) (*kms.GetPublicKeyOutput, error) { return nil, nil }}, keyID,
			nil, "neither an output nor an error"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			signer, err := kmssigner.New(ctx, tt.client, tt.keyID)
			if signer != nil || err == nil {
				t.Fatalf("New = %v, %v, want an error", signer, err)
			}
			if !strings.HasPrefix(err.Error(), "kmssigner: new signer for \""+tt.keyID+"\": ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want it to say %q", err, tt.want)
			}
			for _, sentinel := range []error{kmssigner.ErrUnsupportedKey, kmssigner.ErrKeyChanged, kmssigner.ErrBadSignature} {
				if got, want := errors.Is(err, sentinel), sentinel == tt.is; got != want {
					t.Errorf("errors.Is(%q, %q) = %v, want %v", err, sentinel, got, want)
				}
			}
		})
	}
}

// TestNewWithEmulators has the answers of emulators: without the key spec, with
// only its deprecated twin, and with a bare key ID.
func TestNewWithEmulators(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP384)
	keyARN := newSigner(t, fake, keyID).KeyARN()
	createAlias(t, fake, "alias/a", keyID)
	bare := &spy{Client: fake,
		editGet: func(o *kms.GetPublicKeyOutput) (*kms.GetPublicKeyOutput, error) {
			o.KeyId, o.KeySpec, o.CustomerMasterKeySpec = &keyID, "", ""
			return o, nil
		},
		editSign: func(o *kms.SignOutput) (*kms.SignOutput, error) {
			o.KeyId = &keyID
			return o, nil
		},
	}
	for form, want := range map[string]string{keyID: keyID, keyARN: keyARN, "alias/a": keyID} {
		signer := newSigner(t, bare, form)
		if signer.KeyARN() != want {
			t.Errorf("New(%q).KeyARN() = %q, want %q", form, signer.KeyARN(), want)
		}
		if _, err := signer.SignMessage(nil, nil, crypto.SHA384); err != nil {
			t.Errorf("New(%q): %v", form, err)
		}
	}
	legacy := &spy{Client: fake, editGet: func(o *kms.GetPublicKeyOutput) (*kms.GetPublicKeyOutput, error) {
		o.KeySpec, o.CustomerMasterKeySpec = "", types.CustomerMasterKeySpecEccNistP384
		return o, nil
	}}
	newSigner(t, legacy, keyID)
}

// TestSignOnlyListedAlgorithms has a key that lists fewer algorithms than its
// type can have. The Signer asks only for these.
func TestSignOnlyListedAlgorithms(t *testing.T) {
	fake := kmstest.New()
	client := &spy{Client: fake, editGet: func(o *kms.GetPublicKeyOutput) (*kms.GetPublicKeyOutput, error) {
		o.SigningAlgorithms = []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecRsassaPssSha256}
		return o, nil
	}}
	signer := newSigner(t, client, fake.AddKey(types.KeySpecRsa2048))
	if _, err := signer.SignMessage(nil, nil, &rsa.PSSOptions{Hash: crypto.SHA256}); err != nil {
		t.Error(err)
	}
	_, err := signer.SignMessage(nil, nil, crypto.SHA256)
	if want := "opts ask for SHA-256, the key signs with [RSASSA_PSS_SHA_256]"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if len(client.signs) != 1 {
		t.Errorf("%d Sign calls, want 1", len(client.signs))
	}
}

// TestSignChecksTheAnswer has answers with status 200, as KMS, a proxy or an
// emulator may give them, without the signature that was asked for. No
// signature is returned.
func TestSignChecksTheAnswer(t *testing.T) {
	fake := kmstest.New()
	otherKey := fake.AddKey(types.KeySpecEccNistP256)
	otherARN := newSigner(t, fake, otherKey).KeyARN()
	otherSigner := newSigner(t, fake, otherKey)
	digest := digestOf(crypto.SHA256, []byte("message"))
	pssOpts := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}

	const p256, rsa2048 = types.KeySpecEccNistP256, types.KeySpecRsa2048
	const secp, ed, ml = types.KeySpecEccSecgP256k1, types.KeySpecEccNistEdwards25519, types.KeySpecMlDsa44
	truncate := func(o *kms.SignOutput) { o.Signature = o.Signature[:len(o.Signature)-1] }
	flip := func(o *kms.SignOutput) { o.Signature[len(o.Signature)-1] ^= 1 }
	tests := []struct {
		reason string
		spec   types.KeySpec
		opts   crypto.SignerOpts
		edit   func(o *kms.SignOutput)
		is     error
		want   string
		verify bool // seen only by verification: Options.SkipVerification lets it through
	}{
		{"empty answer", p256, crypto.SHA256, func(o *kms.SignOutput) { *o = kms.SignOutput{} }, kmssigner.ErrBadSignature, "it is empty", false},
		{"no signature", p256, crypto.SHA256, func(o *kms.SignOutput) { o.Signature = nil }, kmssigner.ErrBadSignature, "it is empty", false},
		{"another key, as behind a re-pointed alias", p256, crypto.SHA256, func(o *kms.SignOutput) { o.KeyId = &otherARN }, kmssigner.ErrKeyChanged, "KMS used the key \"" + otherARN, false},
		{"another key, bare ID", p256, crypto.SHA256, func(o *kms.SignOutput) { o.KeyId = &otherKey }, kmssigner.ErrKeyChanged, "KMS used the key \"" + otherKey, false},
		{"the same key ID in another account", p256, crypto.SHA256, func(o *kms.SignOutput) {
			o.KeyId = aws.String(strings.Replace(*o.KeyId, "111122223333", "444455556666", 1))
		}, kmssigner.ErrKeyChanged, "444455556666", false},
		{"no key", p256, crypto.SHA256, func(o *kms.SignOutput) { o.KeyId = nil }, kmssigner.ErrBadSignature, "KMS does not say which key it used", false},
		{"another algorithm", rsa2048, crypto.SHA256, func(o *kms.SignOutput) {
			o.SigningAlgorithm = types.SigningAlgorithmSpecRsassaPssSha256
		}, kmssigner.ErrBadSignature, `by the algorithm "RSASSA_PSS_SHA_256", want "RSASSA_PKCS1_V1_5_SHA_256"`, false},
		{"no algorithm", p256, crypto.SHA256, func(o *kms.SignOutput) { o.SigningAlgorithm = "" }, kmssigner.ErrBadSignature, `by the algorithm ""`, false},
		{"not DER", p256, crypto.SHA256, func(o *kms.SignOutput) { o.Signature = []byte("garbage") }, kmssigner.ErrBadSignature, "derconv:", false},
		{"R‖S where DER is due", p256, crypto.SHA256, func(o *kms.SignOutput) { o.Signature = make([]byte, 64) }, kmssigner.ErrBadSignature, "derconv:", false},
		{"DER with a byte too many", p256, crypto.SHA256, func(o *kms.SignOutput) { o.Signature = append(o.Signature, 0) }, kmssigner.ErrBadSignature, "derconv:", false},
		{"DER cut off", p256, crypto.SHA256, func(o *kms.SignOutput) { o.Signature = o.Signature[:len(o.Signature)-1] }, kmssigner.ErrBadSignature, "derconv:", false},
		{"R = S = 0", p256, crypto.SHA256, func(o *kms.SignOutput) { o.Signature = []byte{0x30, 6, 2, 1, 0, 2, 1, 0} }, kmssigner.ErrBadSignature, "derconv:", false},
		{"RSA signature cut off", rsa2048, crypto.SHA256, func(o *kms.SignOutput) { o.Signature = o.Signature[:255] }, kmssigner.ErrBadSignature, "it has 255 bytes, want 256", false},
		{"RSA signature too long", rsa2048, crypto.SHA256, func(o *kms.SignOutput) { o.Signature = append(o.Signature, 0) }, kmssigner.ErrBadSignature, "it has 257 bytes, want 256", false},
		{"well-formed, of another key", p256, crypto.SHA256, func(o *kms.SignOutput) {
			o.Signature, _ = otherSigner.Sign(nil, digest, crypto.SHA256)
		}, kmssigner.ErrBadSignature, "does not verify with the public key", true},
		{"a flipped bit, RSA", rsa2048, crypto.SHA256, func(o *kms.SignOutput) { o.Signature[200] ^= 1 }, kmssigner.ErrBadSignature, "does not verify with the public key", true},
		{"Ed25519 signature cut off", ed, crypto.Hash(0), truncate, kmssigner.ErrBadSignature, "it has 63 bytes, want 64", false},
		{"ML-DSA signature cut off", ml, crypto.Hash(0), truncate, kmssigner.ErrBadSignature, "it has 2419 bytes, want 2420", false},
		{"a mu's signature cut off", ml, mldsacrypto.MLDSAMu, truncate, kmssigner.ErrBadSignature, "it has 2419 bytes, want 2420", false},
		{"secp256k1 signature cut off", secp, crypto.SHA256, truncate, kmssigner.ErrBadSignature, "derconv:", false},
		{"a flipped bit, secp256k1", secp, crypto.SHA256, flip, kmssigner.ErrBadSignature, "does not verify with the public key", true},
		{"a flipped bit, Ed25519", ed, crypto.Hash(0), flip, kmssigner.ErrBadSignature, "does not verify with the public key", true},
		{"a flipped bit, ML-DSA", ml, crypto.Hash(0), func(o *kms.SignOutput) { o.Signature[0] ^= 1 }, kmssigner.ErrBadSignature, "does not verify with the public key", true},
		{"a flipped bit, ML-DSA with a context", ml, &mldsa.Options{Context: "c"}, func(o *kms.SignOutput) { o.Signature[0] ^= 1 }, kmssigner.ErrBadSignature, "does not verify with the public key", false},
		{"a flipped bit, PSS", rsa2048, pssOpts, func(o *kms.SignOutput) { o.Signature[200] ^= 1 }, kmssigner.ErrBadSignature, "does not verify with the public key", true},
	}
	for _, tt := range tests {
		for _, skip := range []bool{false, true} {
			name := tt.reason
			if skip {
				name += ", verification skipped"
			}
			t.Run(name, func(t *testing.T) {
				client := &spy{Client: fake, editSign: func(o *kms.SignOutput) (*kms.SignOutput, error) {
					tt.edit(o)
					return o, nil
				}}
				signer := newSigner(t, client, fake.AddKey(tt.spec), func(o *kmssigner.Options) { o.SkipVerification = skip })
				input := digest
				if tt.opts == mldsacrypto.MLDSAMu {
					input = make([]byte, 64)
				}
				sig, err := signer.Sign(nil, input, tt.opts)
				if skip && tt.verify {
					if err != nil {
						t.Errorf("error %v, want none: verification is off", err)
					}
					return
				}
				if sig != nil || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("Sign = %x, %v; want an error that is %q and says %q", sig, err, tt.is, tt.want)
				}
				if !strings.Contains(err.Error(), signer.KeyARN()) {
					t.Errorf("error %q does not name the key %s", err, signer.KeyARN())
				}
				if !strings.Contains(err.Error(), "KMS request ID ") && tt.reason != "empty answer" {
					t.Errorf("error %q does not name the request", err)
				}
			})
		}
	}
	t.Run("neither an answer nor an error", func(t *testing.T) {
		client := &spy{Client: fake, editSign: func(*kms.SignOutput) (*kms.SignOutput, error) { return nil, nil }}
		_, err := newSigner(t, client, otherKey).Sign(nil, digest, crypto.SHA256)
		if !errors.Is(err, kmssigner.ErrBadSignature) {
			t.Errorf("error %v, want ErrBadSignature", err)
		}
	})
}

// TestSignRefusesOtherSalts has PSS signatures as emulators make them, with the
// longest salt that fits. Verifiers that follow RFC 7518 refuse them.
func TestSignRefusesOtherSalts(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecRsa2048)
	keyARN := newSigner(t, fake, keyID).KeyARN()
	private, err := rsa.GenerateKey(nil, 2048)
	if err != nil {
		t.Fatal(err)
	}
	opts := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	digest := digestOf(crypto.SHA256, []byte("message"))
	for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, 222 /* the longest that fits */, 20, 31, 33} {
		client := &spy{Client: fake, editSign: func(o *kms.SignOutput) (*kms.SignOutput, error) {
			o.KeyId = &keyARN
			o.Signature, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: salt})
			return o, err
		}}
		signer := newSigner(t, client, keyARN, func(o *kmssigner.Options) { o.PublicKey = &private.PublicKey })
		_, err := signer.Sign(nil, digest, opts)
		if salt == rsa.PSSSaltLengthEqualsHash {
			if err != nil {
				t.Errorf("salt as long as the hash: %v", err)
			}
		} else if !errors.Is(err, kmssigner.ErrBadSignature) {
			t.Errorf("salt %d: error %v, want ErrBadSignature", salt, err)
		}
	}
}

// TestErrorsOfKMS finds KMS's errors in the chain. The call is not repeated.
func TestErrorsOfKMS(t *testing.T) {
	eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		keyID := fake.AddKey(types.KeySpecEccNistP256)
		calls := &spy{Client: client}
		signer := newSigner(t, calls, keyID)
		if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &keyID}); err != nil {
			t.Fatal(err)
		}
		_, err := signer.SignMessage(nil, nil, crypto.SHA256)
		var disabled *types.DisabledException
		var apiErr smithy.APIError
		var opErr *smithy.OperationError
		if !errors.As(err, &disabled) || !errors.As(err, &apiErr) || !errors.As(err, &opErr) {
			t.Errorf("error %v (%T), want the SDK's chain with a *types.DisabledException", err, err)
		}
		if !strings.HasPrefix(err.Error(), `kmssigner: sign with "arn:aws:kms:`) {
			t.Errorf("error %q, want the prefix, the operation and the key", err)
		}
		if len(calls.signs) != 1 {
			t.Errorf("%d calls, want 1: retrying is the SDK's", len(calls.signs))
		}

		_, err = kmssigner.New(t.Context(), client, "alias/none")
		var notFound *types.NotFoundException
		if !errors.As(err, &notFound) || !strings.Contains(err.Error(), `kmssigner: new signer for "alias/none": `) {
			t.Errorf("error %v, want a *types.NotFoundException", err)
		}
	})
}

// TestPinnedKey points an alias to another key. The Signer keeps its key.
func TestPinnedKey(t *testing.T) {
	eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		first, second := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/a", first)
		pinned := newSigner(t, client, "alias/a")
		calls := &spy{Client: client}
		byAlias := newSigner(t, calls, "alias/a", func(o *kmssigner.Options) { o.KeepAlias = true })
		if _, err := byAlias.SignMessage(nil, nil, crypto.SHA256); err != nil {
			t.Fatal(err)
		}
		if got := *calls.signs[0].KeyId; got != "alias/a" {
			t.Errorf("with KeepAlias the request has the key ID %q, want the alias", got)
		}

		updateAlias(t, fake, "alias/a", second)
		sig, err := pinned.SignMessage(nil, []byte("m"), crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(pinned.Public(), []byte("m"), sig, crypto.SHA256); err != nil {
			t.Error(err)
		}
		sig, err = byAlias.SignMessage(nil, nil, crypto.SHA256)
		if sig != nil || !errors.Is(err, kmssigner.ErrKeyChanged) {
			t.Errorf("with KeepAlias and a re-pointed alias: %x, %v, want ErrKeyChanged", sig, err)
		}
	})
}

func TestSuppliedPublicKey(t *testing.T) {
	for _, spec := range specs {
		t.Run(string(spec), func(t *testing.T) {
			fake := kmstest.New()
			keyID := fake.AddKey(spec)
			online := newSigner(t, fake, keyID)
			calls := &spy{Client: fake}
			offline := newSigner(t, calls, online.KeyARN(), func(o *kmssigner.Options) { o.PublicKey = online.Public() })
			if len(calls.gets) != 0 {
				t.Errorf("New made %d GetPublicKey calls, want none", len(calls.gets))
			}
			if offline.KeyARN() != online.KeyARN() {
				t.Errorf("KeyARN() = %q, want %q", offline.KeyARN(), online.KeyARN())
			}
			for _, opts := range optsFor(spec) {
				sig, err := offline.SignMessage(nil, []byte("m"), opts)
				if err != nil {
					t.Fatal(err)
				}
				if err := verify(online.Public(), []byte("m"), sig, opts); err != nil {
					t.Error(err)
				}
			}

			wrong := newSigner(t, fake, online.KeyARN(), func(o *kmssigner.Options) {
				o.PublicKey = newSigner(t, fake, fake.AddKey(spec)).Public()
			})
			if _, err := wrong.SignMessage(nil, []byte("m"), optsFor(spec)[0]); !errors.Is(err, kmssigner.ErrBadSignature) {
				t.Errorf("with another key's public key: error %v, want ErrBadSignature", err)
			}
		})
	}
}

func TestSuppliedPublicKeyRefuses(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	signer := newSigner(t, fake, keyID)
	keyARN := signer.KeyARN()
	pub := signer.Public().(*ecdsa.PublicKey)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), nil)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(nil, 1024)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		reason string
		keyID  string
		pub    crypto.PublicKey
		want   string
	}{
		{"a bare key ID says nothing of Region and account", keyID, pub, "must be a full key ARN"},
		{"an alias may move", "alias/a", pub, "must be a full key ARN"},
		{"an alias ARN may move", "arn:aws:kms:us-east-1:111122223333:alias/a", pub, "must be a full key ARN"},
		{"an ARN of another service", "arn:aws:iam::111122223333:key/x", pub, "must be a full key ARN"},
		{"an ARN without an account", "arn:aws:kms:us-east-1::key/" + keyID, pub, "must be a full key ARN"},
		{"an ARN without a Region", "arn:aws:kms::111122223333:key/" + keyID, pub, "must be a full key ARN"},
		{"an ARN without a partition", "arn::kms:us-east-1:111122223333:key/" + keyID, pub, "must be a full key ARN"},
		{"an ARN without an ID", "arn:aws:kms:us-east-1:111122223333:key/", pub, "must be a full key ARN"},
		{"an ARN with too much of an ID", keyARN + "/x", pub, "must be a full key ARN"},
		{"a curve that is a nil pointer", keyARN, &ecdsa.PublicKey{Curve: (*elliptic.CurveParams)(nil), X: pub.X, Y: pub.Y}, "curve of type *elliptic.CurveParams"},
		{"a secp256k1 curve that is a nil pointer", keyARN, &ecdsa.PublicKey{Curve: (*secp256k1.KoblitzCurve)(nil), X: pub.X, Y: pub.Y}, "curve of type *secp256k1.KoblitzCurve"},
		{"half a point", keyARN, &ecdsa.PublicKey{Curve: elliptic.P256(), X: pub.X}, "the ECDSA public key is nil"},
		{"not a public key", keyARN, "key", "public key is a string, want"},
		{"a Signer is not its public key", keyARN, signer, "public key is a *kmssigner.Signer, want"},
		{"a nil pointer", keyARN, (*ecdsa.PublicKey)(nil), "the ECDSA public key is nil"},
		{"a nil pointer, RSA", keyARN, (*rsa.PublicKey)(nil), "the RSA public key is nil"},
		{"a zero key", keyARN, &ecdsa.PublicKey{}, "the ECDSA public key is nil"},
		{"a zero key, RSA", keyARN, &rsa.PublicKey{}, "the RSA public key is nil"},
		{"a key without a point", keyARN, &ecdsa.PublicKey{Curve: elliptic.P256()}, "the ECDSA public key is nil"},
		{"a point off the curve", keyARN, &ecdsa.PublicKey{Curve: elliptic.P384(), X: pub.X, Y: pub.Y}, "not on"},
		{"a secp256k1 key whose point is not on the curve", keyARN, &ecdsa.PublicKey{Curve: secp256k1.S256(), X: pub.X, Y: pub.Y}, "not on"},
		{"a secp256k1 key whose point is out of range", keyARN, &ecdsa.PublicKey{Curve: secp256k1.S256(), X: new(big.Int).Lsh(pub.X, 8), Y: pub.Y}, "out of range"},
		{"a short Ed25519 key", keyARN, ed25519.PublicKey("short"), "Ed25519 public key of 5 bytes, want 32"},
		{"a nil pointer, ML-DSA", keyARN, (*mldsa.PublicKey)(nil), "the ML-DSA public key is nil"},
		{"a zero key, ML-DSA", keyARN, &mldsa.PublicKey{}, "the ML-DSA public key is nil"},
		{"a curve that KMS does not have", keyARN, p224.Public(), "curve P-224, want"},
		{"a modulus that KMS does not have", keyARN, &small.PublicKey, "RSA modulus of 1024 bits, want"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			_, err := kmssigner.New(t.Context(), fake, tt.keyID, func(o *kmssigner.Options) { o.PublicKey = tt.pub })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestPreferRaw(t *testing.T) {
	eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		calls := &spy{Client: client}
		signer := newSigner(t, calls, fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) { o.PreferRaw = true })
		tests := []struct {
			size int
			want types.MessageType
		}{
			{0, types.MessageTypeDigest}, // KMS takes no empty message
			{1, types.MessageTypeRaw},
			{4096, types.MessageTypeRaw},
			{4097, types.MessageTypeDigest},
		}
		for _, tt := range tests {
			msg := bytes.Repeat([]byte{'m'}, tt.size)
			sig, err := signer.SignMessage(nil, msg, crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(signer.Public(), msg, sig, crypto.SHA256); err != nil {
				t.Error(err)
			}
			in := calls.signs[len(calls.signs)-1]
			if in.MessageType != tt.want {
				t.Errorf("%d bytes: MessageType %s, want %s", tt.size, in.MessageType, tt.want)
			}
			if tt.want == types.MessageTypeRaw && !bytes.Equal(in.Message, msg) {
				t.Errorf("%d bytes: the request does not hold the message", tt.size)
			}
		}
		if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
			t.Error(err)
		}
		if in := calls.signs[len(calls.signs)-1]; in.MessageType != types.MessageTypeDigest {
			t.Errorf("Sign: MessageType %s, want DIGEST: a digest is all there is", in.MessageType)
		}
	})
}

func TestGrantTokens(t *testing.T) {
	fake := kmstest.New()
	calls := &spy{Client: fake}
	tokens := []string{"one", "two"}
	signer := newSigner(t, calls, fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) { o.GrantTokens = tokens })
	tokens[0] = "changed by the caller later"
	if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	want := []string{"one", "two"}
	if !slices.Equal(calls.signs[0].GrantTokens, want) {
		t.Errorf("Sign got the grant tokens %q, want %q", calls.signs[0].GrantTokens, want)
	}
	if got := calls.gets[0].GrantTokens; len(got) != 2 {
		t.Errorf("GetPublicKey got the grant tokens %q, want two", got)
	}
}

// A recorder is an HTTPClient of the SDK that keeps each request.
type recorder struct {
	http.Client
	mu      sync.Mutex
	targets []string
}

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.targets = append(r.targets, req.Header.Get("X-Amz-Target"))
	r.mu.Unlock()
	return r.Client.Do(req)
}

// TestClientOptions finds Options.ClientOptions in the requests of the SDK.
func TestClientOptions(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	seen := &recorder{}
	signer := newSigner(t, server.Client(), fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) {
		o.ClientOptions = append(o.ClientOptions, func(o *kms.Options) { o.HTTPClient = seen })
	})
	if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	if want := []string{"TrentService.GetPublicKey", "TrentService.Sign"}; !slices.Equal(seen.targets, want) {
		t.Errorf("the HTTP client given in ClientOptions saw %q, want %q", seen.targets, want)
	}
}

func TestWithContext(t *testing.T) {
	type traceKey struct{}
	fake := kmstest.New()
	calls := &spy{Client: fake}
	signer := newSigner(t, calls, fake.AddKey(types.KeySpecEccNistP256))

	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), traceKey{}, "trace"))
	bound := signer.WithContext(ctx)
	if _, err := bound.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	if calls.lastCtx.Value(traceKey{}) != "trace" {
		t.Error("the context's values do not reach the call")
	}
	cancel(errors.New("shutting down"))
	_, err := bound.SignMessage(nil, nil, crypto.SHA256)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("error %v, want context.Canceled and its cause", err)
	}
	if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Errorf("the Signer that WithContext was called on: %v, want it unchanged", err)
	}
	var nilCtx context.Context
	if _, err := bound.WithContext(nilCtx).SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Errorf("WithContext(nil): %v, want it to mean context.Background", err)
	}
}

// TestNewContextEnds cancels the context of New. The Signer goes on working.
func TestNewContextEnds(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	ctx, cancel := context.WithCancel(t.Context())
	signer, err := kmssigner.New(ctx, fake, keyID)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Errorf("after New's context has ended: %v", err)
	}
	if _, err := kmssigner.New(ctx, fake, keyID); !errors.Is(err, context.Canceled) {
		t.Errorf("New with a cancelled context: %v, want context.Canceled", err)
	}
}

func TestTimeout(t *testing.T) {
	fake := kmstest.New()
	calls := &spy{Client: fake}
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	remaining := func(timeout time.Duration, ctx context.Context) (time.Duration, bool) {
		t.Helper()
		signer := newSigner(t, calls, keyID, func(o *kmssigner.Options) { o.Timeout = timeout })
		if _, err := signer.WithContext(ctx).SignMessage(nil, nil, crypto.SHA256); err != nil {
			t.Fatal(err)
		}
		deadline, ok := calls.lastCtx.Deadline()
		return time.Until(deadline), ok
	}
	if got, ok := remaining(0, context.Background()); !ok || got > 10*time.Second || got < 5*time.Second {
		t.Errorf("zero Timeout: deadline in %v (%v), want ten seconds", got, ok)
	}
	if got, ok := remaining(time.Hour, context.Background()); !ok || got < 50*time.Minute || got > time.Hour {
		t.Errorf("Timeout of an hour: deadline in %v (%v)", got, ok)
	}
	if _, ok := remaining(-1, context.Background()); ok {
		t.Error("negative Timeout: there is a deadline, want none")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
	defer cancel()
	if got, ok := remaining(time.Second, ctx); !ok || got < time.Hour {
		t.Errorf("a context with a deadline: %v left (%v), want its own two hours", got, ok)
	}
}

// hung is a Client that never answers.
type hung struct{ kmssigner.Client }

func (hung) Sign(ctx context.Context, _ *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hung) GetPublicKey(ctx context.Context, _ *kms.GetPublicKeyInput, _ ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTimeoutEndsAHungCall(t *testing.T) {
	fake := kmstest.New()
	pub := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
	short := func(o *kmssigner.Options) { o.Timeout = time.Millisecond }
	signer := newSigner(t, hung{}, pub.KeyARN(), short, func(o *kmssigner.Options) { o.PublicKey = pub.Public() })
	_, err := signer.SignMessage(nil, nil, crypto.SHA256)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within Options.Timeout, 1ms") {
		t.Errorf("Sign: %v, want context.DeadlineExceeded and where the deadline came from", err)
	}
	_, err = kmssigner.New(context.Background(), hung{}, pub.KeyARN(), short)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Options.Timeout") {
		t.Errorf("New: %v, want context.DeadlineExceeded and where the deadline came from", err)
	}
}

func TestPublic(t *testing.T) {
	for _, spec := range specs {
		fake := kmstest.New()
		calls := &spy{Client: fake}
		signer := newSigner(t, calls, fake.AddKey(spec))
		pub, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !pub.Equal(signer.WithContext(t.Context()).Public()) {
			t.Errorf("%s: Public() is a %T, want the same key each time, with Equal", spec, signer.Public())
		}
		if len(calls.gets) != 1 {
			t.Errorf("%s: %d GetPublicKey calls, want the constructor's one", spec, len(calls.gets))
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		calls := &spy{Client: client}
		signer := newSigner(t, calls, fake.AddKey(types.KeySpecEccNistP256))
		const goroutines, each = 64, 4
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range each {
					msg := []byte{byte(g), byte(i)}
					sig, err := signer.WithContext(t.Context()).SignMessage(nil, msg, crypto.SHA256)
					if err != nil {
						t.Error(err)
						return
					}
					if err := verify(signer.Public(), msg, sig, crypto.SHA256); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if len(calls.signs) != goroutines*each || len(calls.gets) != 1 {
			t.Errorf("%d Sign and %d GetPublicKey calls, want %d and 1", len(calls.signs), len(calls.gets), goroutines*each)
		}
	})
}
