package multiregion_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

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

// TestInputUntouched checks that a call does not change its input.
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
