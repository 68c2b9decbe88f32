package multiregion_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
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

// An alias is each Region's own.
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

// A Region that could not be compared in New is compared when it is asked again.
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

// And without any comparison the Signer verifies.
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
			// The Signer would see it too; it is seen before.
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
	// A client that is for another Region than its name says.
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

// One answer is not lost to the wait for the other.
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
		// Both away: both are named, also when both are remembered.
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

		// A refusal anywhere.
		for _, k := range []*kmstest.KMS{w.a, w.b} {
			heal := k.Inject(getFault, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException"}))
			_, err := kmssigner.New(t.Context(), w.client(t), w.arn)
			if said, ok := errors.AsType[smithy.APIError](err); !ok || said.ErrorCode() != "AccessDeniedException" {
				t.Errorf("got %v, want AccessDeniedException", err)
			}
			heal()
		}

		// The caller's deadline, and no answer but the ones in time.
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

func TestHMAC(t *testing.T) {
	w := newWorld(t, types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)
	c := w.client(t)
	h, err := kmssigner.NewHMAC(t.Context(), c, alias)
	if err != nil {
		t.Fatal(err)
	}
	if h.KeyARN() != w.arn {
		t.Errorf("KeyARN is %q, want %q", h.KeyARN(), w.arn)
	}
	msg := []byte("message")
	inA, err := h.Generate(msg)
	if err != nil {
		t.Fatal(err)
	}
	w.a.Inject(kmstest.Match{}, kmstest.Reset())
	inB, err := h.Generate(msg)
	if err != nil || !slices.Equal(inA, inB) {
		t.Errorf("got %x and %v, want %x", inB, err, inA)
	}
	if ok, err := h.Verify(msg, inA); !ok || err != nil {
		t.Errorf("Verify: %v, %v", ok, err)
	}
	if ok, err := h.Verify([]byte("other"), inA); ok || err != nil {
		t.Errorf("Verify of another message: %v, %v", ok, err)
	}
	if a, b := w.a.Calls("VerifyMac"), w.b.Calls("VerifyMac"); a != 0 || b != 2 {
		t.Errorf("VerifyMac calls: %d and %d, want 0 and 2", a, b)
	}
	if h, err := kmssigner.NewHMAC(t.Context(), c, w.id); err != nil || h.KeyARN() != w.arn {
		t.Errorf("NewHMAC in the outage: %v, %v", h, err)
	}

	type only struct{ kmssigner.Client }
	signing, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: only{w.a}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kmssigner.NewHMAC(t.Context(), signing, w.arn); err == nil || !strings.Contains(err.Error(), "HMACClient") {
		t.Errorf("got %v, want a word on HMACClient", err)
	}
}

func TestNew(t *testing.T) {
	fake := kmstest.New()
	a := kms.New(kms.Options{Region: regionA})
	for name, test := range map[string]struct {
		regions []multiregion.Region
		opts    multiregion.Options
	}{
		"none":         {},
		"no client":    {regions: []multiregion.Region{{Name: regionA}}},
		"no name":      {regions: []multiregion.Region{{Client: fake}}},
		"nameless SDK": {regions: []multiregion.Region{{Client: kms.New(kms.Options{})}}},
		"twice":        {regions: []multiregion.Region{{Client: a}, {Name: regionA, Client: fake}}},
		"wrong Region": {regions: []multiregion.Region{{Name: regionB, Client: a}}},
		"bad interval": {[]multiregion.Region{{Client: a}}, multiregion.Options{ProbeInterval: -1}},
		"bad hedge":    {[]multiregion.Region{{Client: a}}, multiregion.Options{HedgeAfter: -1}},
	} {
		if _, err := multiregion.New(test.regions, func(o *multiregion.Options) { *o = test.opts }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := multiregion.New([]multiregion.Region{{Client: a}, {Name: regionB, Client: fake}}); err != nil {
		t.Error(err)
	}
}

// Inputs are left as they are.
func TestInputUntouched(t *testing.T) {
	w := ecWorld(t)
	w.a.Inject(signFault, kmstest.Reset())
	in := input(w)
	out, err := w.client(t).Sign(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if *in.KeyId != w.arn || *out.KeyId != w.arn {
		t.Errorf("KeyId asked %q, answered %q, want %q", *in.KeyId, *out.KeyId, w.arn)
	}
	if _, err := w.client(t).Sign(t.Context(), nil); err == nil {
		t.Error("nil input: no error")
	}
}
