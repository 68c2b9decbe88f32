package multiregion_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// wrongAnswers returns answers that come without an error and are not the
// signature that was asked for.
func wrongAnswers(t *testing.T, w *world) map[string]kmstest.Effect {
	other, otherARN := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	return map[string]kmstest.Effect{
		"corrupt":         kmstest.Corrupt(),
		"other message":   kmstest.OtherMessage(),
		"malformed":       kmstest.Set("Signature", []byte("not DER")),
		"other algorithm": kmstest.Set("SigningAlgorithm", types.SigningAlgorithmSpecEcdsaSha384),
		"other key":       kmstest.OtherKey(other),
		"other KeyId":     kmstest.Set("KeyId", otherARN),
		"other bare ID":   kmstest.Set("KeyId", other),
		"other Region":    kmstest.Set("KeyId", strings.Replace(w.arn, regionA, "ap-south-1", 1)),
	}
}

// checkOf is what a Signer passes to SignChecked, for the digest of input.
func checkOf(t *testing.T, w *world) func(*kms.SignOutput) error {
	public := newSigner(t, w.a, w.arn).Public().(*ecdsa.PublicKey)
	return func(out *kms.SignOutput) error {
		switch {
		case *out.KeyId != w.arn:
			return fmt.Errorf("%w: %s", kmssigner.ErrKeyChanged, *out.KeyId)
		case out.SigningAlgorithm != types.SigningAlgorithmSpecEcdsaSha256 || !ecdsa.VerifyASN1(public, make([]byte, 32), out.Signature):
			return fmt.Errorf("%w: it does not verify", kmssigner.ErrBadSignature)
		}
		return nil
	}
}

// TestWrongAnswer checks that a signature that is wrong in one Region is made
// in the other, and that the first is passed over and reported.
func TestWrongAnswer(t *testing.T) {
	for _, hedge := range []time.Duration{0, time.Second} {
		for name, effect := range wrongAnswers(t, ecWorld(t)) {
			t.Run(fmt.Sprint(name, hedge), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := ecWorld(t)
					effect := effect
					if e, ok := wrongAnswers(t, w)[name]; ok {
						effect = e // of this world's keys
					}
					var told []string
					c := w.client(t, func(o *multiregion.Options) {
						o.HedgeAfter = hedge
						o.OnChange = func(region string, err error) { told = append(told, fmt.Sprint(region, ": ", err)) }
					})
					s := newSigner(t, c, w.arn)
					heal := w.a.Inject(signFault, effect)
					mustSign(t, s)
					w.signs(t, 1, 1)
					down(t, c, regionA)
					if len(told) != 1 || !strings.HasPrefix(told[0], regionA+": "+regionA+": ") {
						t.Errorf("OnChange was told %q, want the Region and the reason", told)
					}
					mustSign(t, s)
					w.signs(t, 1, 2)
					time.Sleep(10 * time.Second) // a probe that is wrong again
					mustSign(t, s)
					w.signs(t, 2, 3)
					down(t, c, regionA)
					heal()
					time.Sleep(10 * time.Second)
					mustSign(t, s)
					w.signs(t, 3, 3)
					down(t, c)
					if len(told) != 2 || told[1] != regionA+": <nil>" {
						t.Errorf("OnChange was told %q, want that the Region is back", told)
					}
				})
			})
		}
	}
}

// TestWrongSignatureOfEveryKey does so for every type of key.
func TestWrongSignatureOfEveryKey(t *testing.T) {
	for _, spec := range []types.KeySpec{
		types.KeySpecRsa2048, types.KeySpecEccNistP256, types.KeySpecEccNistP384, types.KeySpecEccNistP521,
		types.KeySpecEccSecgP256k1, types.KeySpecEccNistEdwards25519, types.KeySpecMlDsa44,
	} {
		w := newWorld(t, spec, types.KeyUsageTypeSignVerify)
		c := w.client(t)
		s := newSigner(t, c, w.arn)
		w.a.Inject(signFault, kmstest.Corrupt())
		if _, err := s.SignMessage(nil, []byte("message"), s); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		w.signs(t, 1, 1)
		down(t, c, regionA)
	}
}

// TestWrongEverywhere checks that no Region is passed over if all are wrong,
// because then the public key is more likely wrong.
func TestWrongEverywhere(t *testing.T) {
	for _, hedge := range []time.Duration{0, time.Second} {
		w := ecWorld(t)
		c := w.client(t, func(o *multiregion.Options) { o.HedgeAfter = hedge })
		s := newSigner(t, c, w.arn)
		w.a.Inject(signFault, kmstest.Corrupt())
		w.b.Inject(signFault, kmstest.Set("Signature", []byte("not DER")))
		err := sign(s)
		if !errors.Is(err, kmssigner.ErrBadSignature) || !strings.Contains(err.Error(), regionA+": ") || !strings.Contains(err.Error(), regionB+": ") {
			t.Errorf("got %v, want ErrBadSignature and both Regions", err)
		}
		w.signs(t, 1, 1)
		down(t, c)
	}
}

// TestWrongAndAway checks that a Region is not passed over for a wrong answer
// if no other Region has a right one.
func TestWrongAndAway(t *testing.T) {
	w := ecWorld(t)
	c := w.client(t)
	w.a.Inject(signFault, kmstest.Corrupt())
	w.b.Inject(signFault, kmstest.Respond(503, ""))
	_, err := c.SignChecked(t.Context(), input(w), checkOf(t, w))
	if !errors.Is(err, kmssigner.ErrBadSignature) || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want ErrBadSignature and the 503", err)
	}
	w.signs(t, 1, 1)
	down(t, c, regionB)
}

// TestWrongByAlias checks that ErrKeyChanged is final after a request by alias,
// and that a signature that does not verify is not.
func TestWrongByAlias(t *testing.T) {
	w := ecWorld(t)
	other, _ := w.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	c := w.client(t)
	in := input(w)
	in.KeyId = aws.String(alias)
	heal := w.a.Inject(signFault, kmstest.Corrupt())
	if _, err := c.SignChecked(t.Context(), in, checkOf(t, w)); err != nil {
		t.Errorf("a bad signature: %v", err)
	}
	heal()
	c = w.client(t)
	w.alias(t, w.a, other)
	before := w.b.Calls("Sign")
	if _, err := c.SignChecked(t.Context(), in, checkOf(t, w)); !errors.Is(err, kmssigner.ErrKeyChanged) {
		t.Errorf("an alias that was moved: got %v, want ErrKeyChanged", err)
	}
	if w.b.Calls("Sign") != before {
		t.Error("the other Region was asked after ErrKeyChanged")
	}
	down(t, c)
}

// TestWrongMAC checks that no other Region is asked after a MAC under another
// key.
func TestWrongMAC(t *testing.T) {
	w := newWorld(t, types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)
	_, otherARN := w.addKey(t, types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)
	c := w.client(t)
	h, err := kmssigner.NewHMAC(t.Context(), c, w.arn)
	if err != nil {
		t.Fatal(err)
	}
	w.a.Inject(kmstest.Match{Operation: "GenerateMac"}, kmstest.Set("KeyId", otherARN))
	if _, err := h.Generate([]byte("message")); !errors.Is(err, kmssigner.ErrKeyChanged) {
		t.Errorf("got %v, want ErrKeyChanged", err)
	}
	if n := w.b.Calls("GenerateMac"); n != 0 {
		t.Errorf("the other Region was asked %d times", n)
	}
	down(t, c)
}

// TestWrongHedge checks that a hedge with a wrong answer does not win.
func TestWrongHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, _, _ := hedged(t, w)
		check := checkOf(t, w)
		w.a.Inject(signFault, kmstest.Delay(100*time.Millisecond))
		w.b.Inject(signFault, kmstest.Corrupt())
		began := time.Now()
		if _, err := c.SignChecked(t.Context(), input(w), check); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("it took %v, want the first Region's 100 ms", took)
		}
		down(t, c, regionB)
	})
}

// TestCheckIsCallers checks that check is not called after SignChecked has
// returned, because it reads what the caller may change.
func TestCheckIsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		slow := slowSigner{w.a}
		c, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: slow}, {Name: regionB, Client: w.b}},
			func(o *multiregion.Options) { o.HedgeAfter = time.Millisecond })
		if err != nil {
			t.Fatal(err)
		}
		checks := 0
		if _, err := c.SignChecked(t.Context(), input(w), func(*kms.SignOutput) error { checks++; return nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if checks != 1 {
			t.Errorf("check was called %d times, want once", checks)
		}
	})
}

// A slowSigner answers after its context has ended.
type slowSigner struct{ *kmstest.KMS }

func (s slowSigner) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	<-ctx.Done()
	return s.KMS.Sign(context.WithoutCancel(ctx), in, optFns...)
}

// TestOnChange checks that OnChange is called when a Region begins to be passed
// over and when it is back, and at no other time.
func TestOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		type change struct {
			region string
			down   bool
		}
		var mu sync.Mutex
		var got []change
		var c *multiregion.Client
		c = w.client(t, func(o *multiregion.Options) {
			o.OnChange = func(region string, err error) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, change{region, err != nil})
				if slices.Contains(c.Down(), region) != (err != nil) {
					t.Errorf("OnChange(%q, %v) and Down() = %q", region, err, c.Down())
				}
			}
		})
		s := newSigner(t, c, w.arn)
		burst := func() {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { sign(s) })
			}
			wg.Wait()
		}
		burst()
		healA := w.a.Inject(signFault, kmstest.Throttle())
		burst()
		burst()
		healB := w.b.Inject(signFault, kmstest.Reset())
		burst()
		healA()
		healB()
		burst()
		time.Sleep(10 * time.Second)
		burst()
		want := []change{{regionA, true}, {regionB, true}, {regionA, false}, {regionB, false}}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestZeroClient checks that the methods of nil and zero Clients fail.
func TestZeroClient(t *testing.T) {
	w := ecWorld(t)
	for _, c := range []*multiregion.Client{nil, {}} {
		if _, err := c.Sign(t.Context(), input(w)); err == nil {
			t.Error("Sign: no error")
		}
		if _, err := kmssigner.New(t.Context(), c, w.arn); err == nil {
			t.Error("kmssigner.New: no error")
		}
		if _, err := kmssigner.NewHMAC(t.Context(), c, w.arn); err == nil {
			t.Error("kmssigner.NewHMAC: no error")
		}
		if names := c.Down(); names != nil {
			t.Errorf("Down() = %q", names)
		}
	}
}
