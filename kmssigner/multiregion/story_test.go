package multiregion_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// TestStory tells what the package does, in the order in which a service may
// meet it. The explorer proves it for every order.
func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A key has its primary in Virginia and a replica in Ireland.
		w := ecWorld(t)
		virginia, ireland := w.a, w.b
		var told []string
		client, err := multiregion.New([]multiregion.Region{
			{Name: "us-east-1", Client: virginia},
			{Name: "eu-west-1", Client: ireland},
		}, func(o *multiregion.Options) {
			o.OnChange = func(region string, err error) { told = append(told, fmt.Sprint(region, " is down: ", err != nil)) }
		})
		if err != nil {
			t.Fatal(err)
		}

		// New compares the public keys of both.
		signer, err := kmssigner.New(t.Context(), client, w.arn)
		if err != nil {
			t.Fatal(err)
		}
		// signs makes one signature and checks which Regions made it, and how
		// long it took.
		signs := func(inVirginia, inIreland int, wait time.Duration) {
			t.Helper()
			a, b, began := virginia.Calls("Sign"), ireland.Calls("Sign"), time.Now()
			mustSign(t, signer)
			a, b = virginia.Calls("Sign")-a, ireland.Calls("Sign")-b
			if took := time.Since(began); a != inVirginia || b != inIreland || took != wait {
				t.Fatalf("Virginia was asked %d times and Ireland %d in %v, want %d and %d in %v",
					a, b, took, inVirginia, inIreland, wait)
			}
		}

		// While all is well a signature is one call to Virginia.
		signs(1, 0, 0)

		// Virginia hangs. The first signature waits for it for two seconds. The
		// others do not ask it.
		heal := virginia.Inject(signFault, kmstest.Hang())
		signs(1, 1, 2*time.Second)
		signs(0, 1, 0)
		down(t, client, "us-east-1")

		// After ten seconds one call finds out, within a second, that it still
		// hangs.
		time.Sleep(10 * time.Second)
		signs(1, 1, time.Second)
		signs(0, 1, 0)

		// It is mended, and ten seconds later it is used again.
		heal()
		time.Sleep(10 * time.Second)
		signs(1, 0, 0)
		down(t, client)

		// A throttled Region is spared for one second.
		heal = virginia.Inject(signFault, kmstest.Throttle())
		signs(1, 1, 0)
		heal()
		signs(0, 1, 0)
		time.Sleep(time.Second)
		signs(1, 0, 0)

		// A proxy before Virginia answers. What it says is not KMS's word.
		heal = virginia.Inject(signFault, kmstest.Respond(403, `{"message":"Forbidden"}`))
		signs(1, 1, 0)
		heal()
		time.Sleep(10 * time.Second)

		// What KMS refuses is refused. Ireland is not asked, and Virginia is
		// well.
		heal = virginia.Inject(signFault, kmstest.Fail(&types.DisabledException{}))
		before := ireland.Calls("Sign")
		err = sign(signer)
		if _, ok := errors.AsType[*types.DisabledException](err); !ok || ireland.Calls("Sign") != before {
			t.Fatalf("got %v after %d calls to Ireland, want DisabledException after none", err, ireland.Calls("Sign")-before)
		}
		heal()
		down(t, client)

		// Virginia's signatures are wrong. Ireland's are returned.
		virginia.Inject(signFault, kmstest.Corrupt())
		signs(1, 1, 0)
		signs(0, 1, 0)
		down(t, client, "us-east-1")

		// Now Ireland is gone too. The error names both, with all causes.
		virginia.Inject(signFault, kmstest.Reset())
		ireland.Inject(signFault, kmstest.Respond(503, ""))
		err = sign(signer)
		if err == nil || !strings.Contains(err.Error(), "us-east-1: ") || !strings.Contains(err.Error(), "eu-west-1: ") {
			t.Fatalf("got %v, want both Regions", err)
		}
		down(t, client, "us-east-1", "eu-west-1")

		want := []string{
			"us-east-1 is down: true", "us-east-1 is down: false", // it hung
			"us-east-1 is down: true", "us-east-1 is down: false", // it was throttled
			"us-east-1 is down: true", "us-east-1 is down: false", // the proxy
			"us-east-1 is down: true", "eu-west-1 is down: true", // wrong signatures, and the end
		}
		if strings.Join(told, "; ") != strings.Join(want, "; ") {
			t.Errorf("OnChange was told %q, want %q", told, want)
		}
	})
}
