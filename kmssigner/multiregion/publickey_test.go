package multiregion_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

var getFault = kmstest.Match{Operation: "GetPublicKey"}

func TestOtherPublicKey(t *testing.T) {
	for _, bad := range []string{regionA, regionB} {
		w := ecWorld(t)
		other, _ := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
		w.a.Region(bad).Inject(getFault, kmstest.OtherKey(other))
		for _, asked := range []string{w.arn, w.id, alias} {
			_, err := kmssigner.New(t.Context(), w.client(t), asked)
			if !errors.Is(err, multiregion.ErrKeyMismatch) || !strings.Contains(err.Error(), regionA) || !strings.Contains(err.Error(), regionB) {
				t.Errorf("other public key in %s, asked by %s: got %v, want ErrKeyMismatch and the Regions", bad, asked, err)
			}
		}
	}
}

// TestOtherAlias checks an alias that names different keys in the Regions.
func TestOtherAlias(t *testing.T) {
	w := ecWorld(t)
	other, _ := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	keep := func(o *kmssigner.Options) { o.KeepAlias = true }
	s := newSigner(t, w.client(t), alias, keep)
	w.alias(t, w.b, other)
	if _, err := kmssigner.New(t.Context(), w.client(t), alias); !errors.Is(err, multiregion.ErrKeyMismatch) {
		t.Errorf("New: got %v, want ErrKeyMismatch", err)
	}
	w.a.Inject(signFault, kmstest.Reset())
	if err := sign(s); !errors.Is(err, kmssigner.ErrKeyChanged) {
		t.Errorf("Sign by the alias: got %v, want ErrKeyChanged", err)
	}
	mustSign(t, newSigner(t, w.client(t), w.arn)) // by the ARN all is well
}

// TestCompareLater checks that a Region that was not available to New is
// compared when it is asked again.
func TestCompareLater(t *testing.T) {
	w := ecWorld(t)
	c := w.client(t)
	other, _ := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	w.b.Inject(getFault, kmstest.OtherKey(other))
	heal := w.b.Inject(kmstest.Match{Operation: "GetPublicKey", Times: 1}, kmstest.Reset())
	newSigner(t, c, w.arn)
	heal()
	w.a.Inject(getFault, kmstest.Reset())
	_, err := kmssigner.New(t.Context(), c, w.arn)
	if !errors.Is(err, multiregion.ErrKeyMismatch) {
		t.Errorf("got %v, want ErrKeyMismatch", err)
	}
}

// TestOtherSignature checks that a Signer verifies signatures of a Region whose
// public key was not compared.
func TestOtherSignature(t *testing.T) {
	w := ecWorld(t)
	s := newSigner(t, w.client(t), w.arn)
	other, _ := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	w.a.Inject(signFault, kmstest.Reset())
	w.b.Inject(signFault, kmstest.OtherKey(other))
	if err := sign(s); !errors.Is(err, kmssigner.ErrBadSignature) {
		t.Errorf("got %v, want ErrBadSignature", err)
	}
}

func TestOtherKeyID(t *testing.T) {
	w := ecWorld(t)
	other, otherARN := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	inB := func(arn string) string { return strings.Replace(arn, regionA, regionB, 1) }
	for name, answered := range map[string]string{
		"other key":       inB(otherARN),
		"other bare key":  other,
		"other Region":    w.arn,
		"third Region":    strings.Replace(w.arn, regionA, "ap-south-1", 1),
		"other account":   strings.Replace(inB(w.arn), "111122223333", "444455556666", 1),
		"other partition": strings.Replace(inB(w.arn), "arn:aws:", "arn:aws-cn:", 1),
		"other service":   strings.Replace(inB(w.arn), ":kms:", ":iam:", 1),
		"alias":           strings.Replace(inB(w.arn), "key/"+w.id, alias, 1),
		"longer":          inB(w.arn) + "0",
		"no ARN":          "arn:aws:kms",
	} {
		for _, keep := range []bool{false, true} {
			asked := w.arn
			if keep {
				asked = alias
			}
			s := newSigner(t, w.client(t), asked, func(o *kmssigner.Options) { o.KeepAlias = keep })
			healA := w.a.Inject(signFault, kmstest.Reset())
			heal := w.b.Inject(signFault, kmstest.Set("KeyId", answered))
			if err := sign(s); !errors.Is(err, kmssigner.ErrKeyChanged) {
				t.Errorf("%s, by %s: got %v, want ErrKeyChanged", name, asked, err)
			}
			// The Signer would see it too. The Client sees it first.
			if _, err := w.client(t).Sign(t.Context(), input(w)); !errors.Is(err, kmssigner.ErrKeyChanged) {
				t.Errorf("%s: got %v, want ErrKeyChanged", name, err)
			}
			heal()
			healA()
		}
	}
	// Emulators may answer with the bare key ID.
	s := newSigner(t, w.client(t), w.arn)
	w.a.Inject(signFault, kmstest.Set("KeyId", w.id))
	mustSign(t, s)
	// The client is for another Region than its name says.
	swapped, err := multiregion.New([]multiregion.Region{{Name: regionB, Client: w.a}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kmssigner.New(t.Context(), swapped, w.id); !errors.Is(err, kmssigner.ErrKeyChanged) {
		t.Errorf("swapped client: got %v, want ErrKeyChanged", err)
	}
}

func TestGetPublicKeyOutage(t *testing.T) {
	for _, dead := range []string{regionA, regionB} {
		for name, fault := range faults {
			t.Run(dead+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := ecWorld(t)
					w.a.Region(dead).Inject(kmstest.Match{}, fault.effects...)
					c := w.client(t)
					began := time.Now()
					s := newSigner(t, c, w.id)
					if took := time.Since(began); took != fault.wait {
						t.Errorf("New took %v, want %v", took, fault.wait)
					}
					if s.KeyARN() != w.arn {
						t.Errorf("KeyARN is %q, want %q", s.KeyARN(), w.arn)
					}
					down(t, c, dead)
					began = time.Now()
					newSigner(t, c, w.id)
					if took := time.Since(began); took != 0 {
						t.Errorf("the second New took %v", took)
					}
				})
			})
		}
	}
}

// TestGetPublicKeyHurry checks that waiting for one Region leaves time to
// return the answer of the other.
func TestGetPublicKeyHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		w.b.Inject(getFault, kmstest.Hang())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := kmssigner.New(ctx, w.client(t), w.arn); err != nil || ctx.Err() != nil {
			t.Errorf("got %v, and the context %v", err, ctx.Err())
		}
	})
}

func TestGetPublicKeyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c := w.client(t)
		// The error names both, also when both were passed over before.
		healA, healB := w.a.Inject(getFault, kmstest.Reset()), w.b.Inject(getFault, kmstest.Throttle())
		for range 2 {
			_, err := kmssigner.New(t.Context(), c, w.arn)
			if err == nil || !strings.Contains(err.Error(), regionA+": ") || !strings.Contains(err.Error(), regionB+": ") {
				t.Errorf("got %v, want both Regions", err)
			}
			down(t, c, regionA, regionB)
		}
		healA()
		newSigner(t, c, w.arn)
		down(t, c, regionB)
		healB()

		// A refusal of either Region is an error.
		for _, k := range []*kmstest.KMS{w.a, w.b} {
			heal := k.Inject(getFault, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException"}))
			_, err := kmssigner.New(t.Context(), w.client(t), w.arn)
			if said, ok := errors.AsType[smithy.APIError](err); !ok || said.ErrorCode() != "AccessDeniedException" {
				t.Errorf("got %v, want AccessDeniedException", err)
			}
			heal()
		}

		// Nothing outlives the caller's deadline.
		w.a.Inject(getFault, kmstest.Hang())
		w.b.Inject(getFault, kmstest.Hang())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := kmssigner.New(ctx, c, w.arn); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v, the deadline is one second", took)
		}
	})
}
