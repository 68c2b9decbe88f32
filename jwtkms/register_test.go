package jwtkms_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
)

// registered is the content of golang-jwt's registry before any test has run.
var registered = jwt.GetAlgorithms()

func TestImportRegistersNothing(t *testing.T) {
	stock := []string{"none", "HS256", "HS384", "HS512"}
	for _, m := range methods {
		if m.stock == nil {
			continue
		}
		stock = append(stock, m.stock.Alg())
		if got := jwt.GetSigningMethod(m.stock.Alg()); got != m.stock {
			t.Errorf("GetSigningMethod(%q) is %T, want golang-jwt's own", m.stock.Alg(), got)
		}
	}
	slices.Sort(stock)
	if got := slices.Sorted(slices.Values(registered)); !slices.Equal(got, stock) {
		t.Errorf("registered algorithms %q, want golang-jwt's own %q", got, stock)
	}
}

func TestRegister(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 { // repeated and concurrent calls
		wg.Go(func() {
			if err := jwtkms.Register(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ours := []*jwtkms.SigningMethod{jwtkms.ES256K, jwtkms.Ed25519, jwtkms.MLDSA44, jwtkms.MLDSA65, jwtkms.MLDSA87}
	want := slices.Clone(registered)
	for _, m := range ours {
		if got := jwt.GetSigningMethod(m.Alg()); got != m {
			t.Errorf("GetSigningMethod(%q) = %v", m.Alg(), got)
		}
		want = append(want, m.Alg())
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(jwt.GetAlgorithms())); !slices.Equal(got, want) {
		t.Errorf("registered algorithms %q, want %q", got, want)
	}
}

// The test runs in a process of its own, because nothing can be removed from
// the registry.
func TestRegisterRefusesToReplace(t *testing.T) {
	if os.Getenv("JWTKMS_TEST_REGISTERED") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRegisterRefusesToReplace$", "-test.v")
		cmd.Env = append(os.Environ(), "JWTKMS_TEST_REGISTERED=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestRegisterRefusesToReplace") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	other := &jwt.SigningMethodECDSA{Name: "ES256K"}
	jwt.RegisterSigningMethod("ES256K", func() jwt.SigningMethod { return other })
	err := jwtkms.Register()
	if err == nil || !strings.Contains(err.Error(), "jwtkms: ES256K is already registered to a *jwt.SigningMethodECDSA") {
		t.Errorf("error %v, want it to name ES256K and the other method", err)
	}
	if err == nil || strings.Contains(err.Error(), "ML-DSA") {
		t.Errorf("error %v names what is free", err)
	}
	if jwt.GetSigningMethod("ES256K") != other || jwt.GetSigningMethod("ML-DSA-44") != nil {
		t.Error("Register has changed the registry all the same")
	}
	jwt.RegisterSigningMethod("Ed25519", func() jwt.SigningMethod { return other })
	if err := jwtkms.Register(jwtkms.MLDSA44, jwtkms.MLDSA65); err != nil || jwt.GetSigningMethod("ML-DSA-44") != jwtkms.MLDSA44 {
		t.Errorf("Register of two that are free: %v", err)
	}
	err = jwtkms.Register(jwtkms.ES256K, jwtkms.Ed25519, jwtkms.RS256)
	for _, want := range []string{"ES256K is already registered", "Ed25519 is already registered", "RS256 is already registered to a *jwt.SigningMethodRSA"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := jwtkms.Register(jwtkms.HS256); err == nil {
		t.Error("Register replaces golang-jwt's HS256")
	}
}
