package kmssigner_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestStory is what this package is for, from making a Signer to the day when
// KMS refuses. The other tests have the details.
func TestStory(t *testing.T) {
	// An account has a key, and an alias that services know it by. The client
	// is the SDK's, and it talks HTTP to the fake.
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	first := fake.AddKey(types.KeySpecEccNistP256)
	createAlias(t, fake, "alias/signing", first)
	client := kms.NewFromConfig(server.Config())

	// A service makes a Signer at its start. That is one call.
	signer, err := kmssigner.New(t.Context(), client, "alias/signing")
	if err != nil {
		t.Fatal(err)
	}
	if fake.Calls("GetPublicKey") != 1 {
		t.Errorf("New made %d GetPublicKey calls, want one", fake.Calls("GetPublicKey"))
	}

	// The Signer is a crypto.Signer. Anybody with its public key can verify.
	public := signer.Public().(*ecdsa.PublicKey)
	digest := sha256.Sum256([]byte("message"))
	var anySigner crypto.Signer = signer
	sig, err := anySigner.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(public, digest[:], sig) {
		t.Error("the signature does not verify")
	}
	if fake.Calls("Sign") != 1 {
		t.Errorf("a signature made %d Sign calls, want one", fake.Calls("Sign"))
	}

	// A message of any size can be signed, because only its hash is sent.
	if _, err := crypto.SignMessage(signer, nil, bytes.Repeat([]byte("long "), 10_000), signer); err != nil {
		t.Error(err)
	}

	// What KMS cannot sign is refused without a call.
	calls := fake.Calls("")
	if _, err := signer.Sign(nil, digest[:20], crypto.SHA1); err == nil {
		t.Error("a SHA-1 digest is signed")
	}
	if fake.Calls("") != calls {
		t.Error("a refused signature cost a call")
	}

	// Somebody points the alias to another key. The Signer keeps its key, so
	// its signatures go on to verify with its public key. Only a new Signer
	// follows.
	second := fake.AddKey(types.KeySpecEccNistP256)
	updateAlias(t, fake, "alias/signing", second)
	sig, err = signer.Sign(nil, digest[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(public, digest[:], sig) {
		t.Errorf("after the alias was pointed elsewhere: %x, %v", sig, err)
	}
	next, err := kmssigner.New(t.Context(), client, "alias/signing")
	if err != nil {
		t.Fatal(err)
	}
	if next.KeyARN() == signer.KeyARN() {
		t.Error("a new Signer does not follow the alias")
	}

	// Something between the service and KMS breaks. A signature that does not
	// verify is withheld.
	restore := fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Corrupt())
	if sig, err := signer.Sign(nil, digest[:], crypto.SHA256); sig != nil || !errors.Is(err, kmssigner.ErrBadSignature) {
		t.Errorf("with corrupted answers: %x, %v, want ErrBadSignature", sig, err)
	}
	restore()

	// A request ends when its context does.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := signer.WithContext(ctx).Sign(nil, digest[:], crypto.SHA256); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}

	// An operator disables the key. The error is KMS's own.
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(first)}); err != nil {
		t.Fatal(err)
	}
	var disabled *types.DisabledException
	if _, err := signer.Sign(nil, digest[:], crypto.SHA256); !errors.As(err, &disabled) {
		t.Errorf("with a disabled key: %v, want a DisabledException", err)
	}
}
