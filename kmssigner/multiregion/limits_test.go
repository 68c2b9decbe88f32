package multiregion_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// TestTypedNil checks that a nil *kms.Client is refused.
func TestTypedNil(t *testing.T) {
	if _, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: (*kms.Client)(nil)}}); err == nil {
		t.Error("no error")
	}
}

// TestEndedContext checks that no Region is asked for a caller that is gone.
func TestEndedContext(t *testing.T) {
	w := ecWorld(t)
	a := &spy{KMS: w.a}
	c, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: a}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Sign(ctx, input(w)); !errors.Is(err, context.Canceled) || len(a.ended) != 0 {
		t.Errorf("got %v after %d calls, want context.Canceled after none", err, len(a.ended))
	}
}

// TestRefusalDoesNotWait checks that New does not wait for a Region that hangs
// after another has refused.
func TestRefusalDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		w.a.Inject(getFault, kmstest.Hang())
		w.b.Inject(getFault, kmstest.Fail(&types.DisabledException{}))
		began := time.Now()
		_, err := kmssigner.New(t.Context(), w.client(t), w.arn)
		if _, ok := errors.AsType[*types.DisabledException](err); !ok || time.Since(began) != 0 {
			t.Errorf("got %v after %v, want DisabledException at once", err, time.Since(began))
		}
	})
}

// TestLastResort checks that a Region that is passed over gets AttemptTimeout
// at most, even if it is the last.
func TestLastResort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		s := newSigner(t, w.client(t), w.arn)
		w.b.Inject(signFault, kmstest.Hang())
		heal := w.a.Inject(signFault, kmstest.Reset())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		sign(s.WithContext(ctx)) // A is down
		cancel()
		heal()
		w.a.Inject(signFault, kmstest.Hang())
		began := time.Now()
		if err := sign(s); err == nil {
			t.Error("no error")
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("it took %v, want AttemptTimeout for each Region", took)
		}
	})
}
