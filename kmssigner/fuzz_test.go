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
	"crypto/sha512"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// fuzzARN is the ARN of the keys that answers from outside are for.
const fuzzARN = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-4000-8000-000000000001"

// checkErrorText checks that the text of an error fits a line of a log, apart
// from the length of the key ID in it.
func checkErrorText(t *testing.T, err error, keyID string) {
	t.Helper()
	text := strings.Replace(err.Error(), strconv.Quote(keyID), "", 1)
	if !strings.HasPrefix(text, "kmssigner: ") {
		t.Errorf("%q lacks the prefix", text)
	}
	if len(text) > 3000 {
		t.Errorf("a text of %d bytes", len(text))
	}
	if strings.ContainsFunc(text, unicode.IsControl) || strings.ToValidUTF8(text, "") != text {
		t.Errorf("%q does not fit a line", text)
	}
}

// FuzzKeyID makes Signers and HMACs for any key ID, with any answer to which
// key that is. If one is made, it names the right key in its requests and
// returns no signature by another one.
func FuzzKeyID(f *testing.F) {
	for _, asked := range []string{
		fuzzARN, "00000000-0000-4000-8000-000000000001", "mrk-00000000000040008000000000000001",
		"alias/a", "alias/a/b", "arn:aws:kms:us-east-1:111122223333:alias/a", "arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1",
		"", "arn:", "arn:aws:kms:::key/", "arn:aws:s3:::key/k", "alias/", "awskms:///alias/a", ":key/", ":alias/", "\x00\n",
	} {
		for _, answered := range []string{fuzzARN, "00000000-0000-4000-8000-000000000001", "alias/a", ""} {
			f.Add(asked, answered, answered, false)
			f.Add(asked, answered, fuzzARN, true)
		}
	}
	fake := kmstest.New()
	key, mac := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecHmac256)
	f.Fuzz(func(t *testing.T, asked, answered, signedBy string, keepAlias bool) {
		client := &keyIDClient{fake: fake, key: key, mac: mac, answered: answered, signedBy: signedBy}
		signer, err := kmssigner.New(t.Context(), client, asked, func(o *kmssigner.Options) { o.KeepAlias = keepAlias })
		if err != nil {
			checkErrorText(t, err, asked)
		} else {
			checkPinned(t, asked, answered, signer.KeyARN())
			_, err := signer.SignMessage(nil, []byte("m"), crypto.SHA256)
			client.check(t, "Sign", signer.KeyARN(), keepAlias, asked, err)
			fixed, err := kmssigner.New(t.Context(), client, asked, func(o *kmssigner.Options) { o.PublicKey = signer.Public() })
			if err == nil && (fixed.KeyARN() != asked || !strings.HasPrefix(asked, "arn:") || !strings.Contains(asked, ":key/")) {
				t.Errorf("Options.PublicKey with the key ID %q is accepted", asked)
			}
		}
		hmac, err := kmssigner.NewHMAC(t.Context(), client, asked, func(o *kmssigner.HMACOptions) { o.KeepAlias = keepAlias })
		if err != nil {
			checkErrorText(t, err, asked)
			return
		}
		checkPinned(t, asked, answered, hmac.KeyARN())
		_, err = hmac.Generate([]byte("m"))
		client.check(t, "GenerateMac", hmac.KeyARN(), keepAlias, asked, err)
	})
}

// checkPinned checks which key an answer was taken for.
func checkPinned(t *testing.T, asked, answered, pinned string) {
	t.Helper()
	bare := func(id string) string { return id[strings.LastIndex(id, "/")+1:] }
	switch {
	case pinned == "" || len(pinned) > 2048 || strings.HasPrefix(pinned, "alias/") || strings.Contains(pinned, ":alias/"):
		t.Errorf("pinned %q", pinned)
	case pinned != answered && pinned != asked:
		t.Errorf("pinned %q, asked for %q and answered %q", pinned, asked, answered)
	case !strings.HasPrefix(asked, "alias/") && !strings.Contains(asked, ":alias/") && bare(asked) != bare(answered):
		t.Errorf("asked for %q, took %q", asked, answered)
	}
}

// A keyIDClient is the fake with other names for its keys.
type keyIDClient struct {
	fake               *kmstest.KMS
	key, mac           string
	answered, signedBy string
	requested          string // the KeyId of the last request to sign
}

// check checks the outcome of a request with the key pinned.
func (c *keyIDClient) check(t *testing.T, operation, pinned string, keepAlias bool, asked string, err error) {
	t.Helper()
	want := pinned
	if keepAlias {
		want = asked
	}
	if c.requested != want {
		t.Errorf("%s names %q, want %q", operation, c.requested, want)
	}
	if err != nil {
		if !errors.Is(err, kmssigner.ErrKeyChanged) && !errors.Is(err, kmssigner.ErrBadSignature) {
			t.Errorf("%s: %v", operation, err)
		}
		checkErrorText(t, err, pinned)
		return
	}
	bare := func(id string) string { return id[strings.LastIndex(id, "/")+1:] }
	if c.signedBy == "" || bare(c.signedBy) != bare(pinned) {
		t.Errorf("%s: an answer by %q is taken for one by %q", operation, c.signedBy, pinned)
	}
}

func (c *keyIDClient) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, _ ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	out, err := c.fake.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &c.key})
	if err == nil {
		out.KeyId = &c.answered
	}
	return out, err
}

func (c *keyIDClient) Sign(ctx context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	c.requested = *in.KeyId
	in.KeyId = &c.key
	out, err := c.fake.Sign(ctx, in)
	if err == nil {
		out.KeyId = &c.signedBy
	}
	return out, err
}

func (c *keyIDClient) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, _ ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	out, err := c.fake.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &c.mac})
	if err == nil {
		out.KeyMetadata.Arn = &c.answered
	}
	return out, err
}

func (c *keyIDClient) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, _ ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	c.requested = *in.KeyId
	in.KeyId = &c.mac
	out, err := c.fake.GenerateMac(ctx, in)
	if err == nil {
		out.KeyId = &c.signedBy
	}
	return out, err
}

func (c *keyIDClient) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, _ ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	in.KeyId = &c.mac
	return c.fake.VerifyMac(ctx, in)
}

// A fuzzKey is a key that is the same in every process, so that an input is
// worth as much in the next one.
type fuzzKey struct {
	pub  crypto.PublicKey
	opts crypto.SignerOpts
	sign func(msg []byte) ([]byte, error)
}

func fuzzKeys(f *testing.F) []fuzzKey {
	f.Helper()
	seed := sha512.Sum512([]byte("a key for fuzzing"))
	var keys []fuzzKey
	addECDSA := func(private *ecdsa.PrivateKey, hash crypto.Hash) {
		keys = append(keys, fuzzKey{&private.PublicKey, hash, func(msg []byte) ([]byte, error) {
			return ecdsa.SignASN1(rand.Reader, private, digestOf(hash, msg))
		}})
	}
	for curve, hash := range map[elliptic.Curve]crypto.Hash{elliptic.P256(): crypto.SHA256, elliptic.P384(): crypto.SHA384, elliptic.P521(): crypto.SHA512} {
		scalar := make([]byte, (curve.Params().BitSize+7)/8)
		copy(scalar[2:], seed[:])
		private, err := ecdsa.ParseRawPrivateKey(curve, scalar)
		if err != nil {
			f.Fatal(err)
		}
		addECDSA(private, hash)
	}
	addECDSA(secp256k1.PrivKeyFromBytes(seed[:32]).ToECDSA(), crypto.SHA256)
	private := ed25519.NewKeyFromSeed(seed[:32])
	keys = append(keys, fuzzKey{private.Public(), crypto.Hash(0), func(msg []byte) ([]byte, error) { return ed25519.Sign(private, msg), nil }})
	for _, params := range []mldsa.Parameters{mldsa.MLDSA44(), mldsa.MLDSA87()} {
		private, err := mldsa.NewPrivateKey(params, seed[:32])
		if err != nil {
			f.Fatal(err)
		}
		keys = append(keys, fuzzKey{private.PublicKey(), crypto.Hash(0), func(msg []byte) ([]byte, error) { return private.Sign(nil, msg, crypto.Hash(0)) }})
	}
	// The RSA keys of the fake are constants.
	fake := kmstest.New()
	rsaSigner, err := kmssigner.New(f.Context(), fake, fake.AddKey(types.KeySpecRsa2048))
	if err != nil {
		f.Fatal(err)
	}
	for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA384, SaltLength: rsa.PSSSaltLengthEqualsHash}} {
		keys = append(keys, fuzzKey{rsaSigner.Public(), opts, func(msg []byte) ([]byte, error) { return rsaSigner.SignMessage(nil, msg, opts) }})
	}
	return keys
}

// FuzzSignature has KMS answer with any bytes for a signature. They are
// returned if and only if they verify.
func FuzzSignature(f *testing.F) {
	keys := fuzzKeys(f)
	msg := []byte("message")
	for i, k := range keys {
		sig, err := k.sign(msg)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), sig)
		f.Add(uint8(i), append(bytes.Clone(sig), 0))
		f.Add(uint8(i), sig[:len(sig)-1])
		f.Add(uint8(i), append([]byte{0x30, 0x80}, sig...))
		f.Add(uint8(i), make([]byte, len(sig)))
	}
	f.Add(uint8(0), []byte{0x30, 6, 2, 1, 0, 2, 1, 0})
	f.Fuzz(func(t *testing.T, which uint8, answered []byte) {
		k := keys[int(which)%len(keys)]
		client := signatureClient(answered)
		for _, skip := range []bool{false, true} {
			signer, err := kmssigner.New(t.Context(), client, fuzzARN, func(o *kmssigner.Options) {
				o.PublicKey, o.SkipVerification = k.pub, skip
			})
			if err != nil {
				t.Fatal(err)
			}
			sig, err := signer.SignMessage(nil, msg, k.opts)
			invalid := verify(k.pub, msg, answered, k.opts)
			switch {
			case err != nil && (sig != nil || !errors.Is(err, kmssigner.ErrBadSignature)):
				t.Errorf("%x, %v, want ErrBadSignature and no signature", sig, err)
			case err == nil && !bytes.Equal(sig, answered):
				t.Errorf("%x, want %x", sig, answered)
			case err == nil && invalid != nil && !skip:
				t.Errorf("%x is returned: %v", sig, invalid)
			case err != nil && invalid == nil:
				t.Errorf("%x is refused, although it verifies: %v", answered, err)
			}
			if err != nil {
				checkErrorText(t, err, fuzzARN)
			}
		}
	})
}

// A signatureClient answers to every request with itself for a signature.
type signatureClient []byte

func (c signatureClient) Sign(_ context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	return &kms.SignOutput{KeyId: in.KeyId, Signature: c, SigningAlgorithm: in.SigningAlgorithm}, nil
}

func (signatureClient) GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	return nil, errors.New("GetPublicKey is not expected")
}

// FuzzAnswer has the endpoint answer with any status, headers and body. Nothing
// panics, no signature is returned that does not verify, and an error fits a
// line of a log.
func FuzzAnswer(f *testing.F) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecRsa2048) // a constant
	signed, err := fake.GetPublicKey(f.Context(), &kms.GetPublicKeyInput{KeyId: &keyID})
	if err != nil {
		f.Fatal(err)
	}
	pub, err := kmssigner.ParsePKIXPublicKey(signed.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{
		`{"KeyId":"` + fuzzARN + `","Signature":"AAAA","SigningAlgorithm":"RSASSA_PKCS1_V1_5_SHA_256"}`,
		`{"KeyId":"` + fuzzARN + `","KeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY","PublicKey":"AAAA","SigningAlgorithms":["RSASSA_PSS_SHA_256"]}`,
		`{"KeyMetadata":{"Arn":"` + fuzzARN + `","KeyId":"k","KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC","CreationDate":1e300}}`,
		`{"KeyId":"` + fuzzARN + `","MacValid":true,"MacAlgorithm":"HMAC_SHA_256","Mac":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`,
		`{"__type":"NotFoundException","message":"a\nb"}`, `{"__type":"ThrottlingException","Message":1}`, `{"__type":{},"code":[]}`,
		``, `{}`, `null`, `[]`, `<html>`, `{"KeyId":`, "\xff", `{"KeyId":"\ud800"}`,
	} {
		for _, status := range []uint16{200, 204, 307, 400, 403, 500} {
			f.Add(status, "application/x-amz-json-1.1", "", []byte(body))
			f.Add(status, "text/html", "KMSInvalidMacException:http://x", []byte(body))
		}
	}
	const metadata = `{"KeyMetadata":{"Arn":"` + fuzzARN + `","KeyId":"k","KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}}`
	f.Fuzz(func(t *testing.T, status uint16, contentType, errorType string, body []byte) {
		described := ""
		client := kms.New(kms.Options{
			Region:      "us-east-1",
			Credentials: aws.AnonymousCredentials{},
			Retryer:     aws.NopRetryer{},
			HTTPClient: doFunc(func(r *http.Request) (*http.Response, error) {
				resp := &http.Response{
					StatusCode:    int(status),
					Header:        http.Header{"Content-Type": {contentType}, "X-Amzn-Errortype": {errorType}, "X-Amzn-Requestid": {errorType}},
					Body:          io.NopCloser(bytes.NewReader(body)),
					ContentLength: int64(len(body)),
					Request:       r,
				}
				if described != "" {
					resp.StatusCode, resp.Header, resp.ContentLength = http.StatusOK, http.Header{}, int64(len(described))
					resp.Body = io.NopCloser(strings.NewReader(described))
				}
				return resp, nil
			}),
		})
		check := func(err error) {
			if err != nil {
				checkErrorText(t, err, fuzzARN)
			}
		}
		signer, err := kmssigner.New(t.Context(), client, fuzzARN, func(o *kmssigner.Options) { o.PublicKey = pub })
		if err != nil {
			t.Fatal(err)
		}
		sig, err := signer.SignMessage(nil, []byte("m"), crypto.SHA256)
		check(err)
		if err == nil {
			if err := verify(pub, []byte("m"), sig, crypto.SHA256); err != nil {
				t.Errorf("%x is returned: %v", sig, err)
			}
		}
		made, err := kmssigner.New(t.Context(), client, fuzzARN)
		check(err)
		if err == nil && (made.Public() == nil || made.KeyARN() != fuzzARN) {
			t.Errorf("a Signer with %q, %v", made.KeyARN(), made.Public())
		}
		h, err := kmssigner.NewHMAC(t.Context(), client, fuzzARN)
		check(err)
		if err == nil && (h.Size() < 28 || h.KeyARN() != fuzzARN) {
			t.Errorf("an HMAC with %q, size %d", h.KeyARN(), h.Size())
		}
		described = metadata
		h, err = kmssigner.NewHMAC(t.Context(), client, fuzzARN)
		if err != nil {
			t.Fatal(err)
		}
		described = ""
		mac, err := h.Generate([]byte("m"))
		check(err)
		if err == nil && len(mac) != h.Size() {
			t.Errorf("a MAC of %d bytes", len(mac))
		}
		_, err = h.Verify([]byte("m"), make([]byte, h.Size()))
		check(err)
	})
}

// A doFunc is an HTTP client for the SDK.
type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }
