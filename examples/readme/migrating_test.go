package readme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/derconv"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// Each test runs a snippet of docs/migrating.md as it stands.

// named returns a fake with a P-256 key that has an alias.
func named(t *testing.T, alias string) *kmstest.KMS {
	t.Helper()
	fake := kmstest.New()
	key := fake.AddKey(types.KeySpecEccNistP256)
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	return fake
}

func TestFromConfig(t *testing.T) {
	issue := func(ctx context.Context, client kmssigner.Client, claims jwt.Claims) error {
		signer, err := kmssigner.New(ctx, client, "alias/token-signing")
		if err != nil {
			return err
		}
		token := jwt.NewWithClaims(jwtkms.ES256, claims)
		compact, err := token.SignedString(signer.WithContext(ctx))
		if err != nil {
			return err
		}
		parsed, err := jwt.Parse(compact, func(*jwt.Token) (any, error) {
			return signer.Public(), nil
		}, jwt.WithValidMethods([]string{"ES256"}))
		if err == nil && !parsed.Valid {
			return errors.New("not valid")
		}
		return err
	}
	if err := issue(t.Context(), named(t, "alias/token-signing"), jwt.MapClaims{"sub": "alice"}); err != nil {
		t.Error(err)
	}
}

func TestFromASN1(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	convert := func() error {
		p1363, err := derconv.ToP1363(der, elliptic.P256()) // 64 bytes, R then S
		if err != nil {
			return err
		}
		back, err := derconv.ToDER(p1363, elliptic.P256()) // the same bytes as der
		if len(p1363) != 64 || !bytes.Equal(back, der) {
			return errors.Join(err, errors.New("not the same signature"))
		}
		return err
	}
	if err := convert(); err != nil {
		t.Error(err)
	}
}

func TestFromSigner(t *testing.T) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	fake := kmstest.New()
	certify := func(ctx context.Context, client kmssigner.Client, keyID string) error {
		signer, err := kmssigner.New(ctx, client, keyID)
		if err != nil {
			return err
		}
		certificate, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
		if err != nil {
			return err
		}
		_, err = x509.ParseCertificate(certificate)
		return err
	}
	for _, spec := range []types.KeySpec{types.KeySpecRsa2048, types.KeySpecEccNistP384} {
		if err := certify(t.Context(), fake, fake.AddKey(spec)); err != nil {
			t.Error(err)
		}
	}
}

func TestFromSigstore(t *testing.T) {
	message := []byte("artifact")
	sign := func(ctx context.Context, client kmssigner.Client) error {
		signer, err := kmssigner.New(ctx, client, "alias/artifacts")
		if err != nil {
			return err
		}
		// A Signer is its own SignerOpts: the hash that goes with its key.
		signature, err := signer.WithContext(ctx).SignMessage(nil, message, signer)
		digest := sha256.Sum256(message)
		if err == nil && !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], signature) {
			return errors.New("does not verify")
		}
		return err
	}
	if err := sign(t.Context(), named(t, "alias/artifacts")); err != nil {
		t.Error(err)
	}
}

func TestFromSDK(t *testing.T) {
	message := []byte("message")
	sign := func(ctx context.Context, client kmssigner.Client, keyID string) error {
		signer, err := kmssigner.New(ctx, client, keyID)
		if err != nil {
			return err
		}
		digest := sha256.Sum256(message)
		der, err := signer.WithContext(ctx).Sign(nil, digest[:], crypto.SHA256)
		if err == nil && !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], der) {
			return errors.New("does not verify")
		}
		return err
	}
	fake := kmstest.New()
	if err := sign(t.Context(), fake, fake.AddKey(types.KeySpecEccNistP256)); err != nil {
		t.Error(err)
	}
}
