// Package proof runs the recipes of docs/plugins.md with every type of key, and
// compares what happens with the page.
package proof

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
	"github.com/kmssign/kmssign/kmssigner"
)

// A Key is a type of key that consumers distinguish.
type Key struct {
	Name  string
	Specs []types.KeySpec
}

// Keys are the types of key that KMS signs with, in the order of the page. Of
// the sizes of RSA keys the smallest stands for all.
var (
	RSA       = Key{"RSA", []types.KeySpec{types.KeySpecRsa2048}}
	P256      = Key{"P-256", []types.KeySpec{types.KeySpecEccNistP256}}
	P384      = Key{"P-384", []types.KeySpec{types.KeySpecEccNistP384}}
	P521      = Key{"P-521", []types.KeySpec{types.KeySpecEccNistP521}}
	Secp256k1 = Key{"secp256k1", []types.KeySpec{types.KeySpecEccSecgP256k1}}
	Ed25519   = Key{"Ed25519", []types.KeySpec{types.KeySpecEccNistEdwards25519}}
	MLDSA     = Key{"ML-DSA", []types.KeySpec{types.KeySpecMlDsa44, types.KeySpecMlDsa65, types.KeySpecMlDsa87}}

	Keys = []Key{RSA, P256, P384, P521, Secp256k1, Ed25519, MLDSA}
)

// A Recipe is one line of the page.
type Recipe struct {
	Job      string // what a user wants to do
	Consumer string // whose code takes the key
	File     string // the recipe, in the directory of the test
	Judge    string // whose code accepts the result
	Glue     string // what the recipe adds to make the key fit, if anything

	// Run follows the recipe with a key and has the result judged. It returns the
	// error that a user sees.
	Run func(t *testing.T, signer *kmssigner.Signer) error

	// Refusals say with which keys Run fails. With all others it must succeed.
	Refusals []Refusal
}

// A Refusal is a type of key that cannot do a job.
type Refusal struct {
	Keys  []Key
	Limit string // whose limit it is
	Error string // a part of the error
	Go    Releases
}

// Releases are the releases of Go in which a Refusal holds.
type Releases string

const (
	All        Releases = ""
	Before1_27 Releases = "before Go 1.27"
	From1_27   Releases = "from Go 1.27"
)

// now reports whether this release is one of r.
func (r Releases) now() bool {
	newer := !strings.HasPrefix(runtime.Version(), "go1.26")
	return r == All || (r == From1_27) == newer
}

// refusal returns the refusal of a key in this release, or nil.
func (r *Recipe) refusal(key Key) *Refusal {
	for i, refusal := range r.Refusals {
		if refusal.Go.now() && slices.ContainsFunc(refusal.Keys, func(k Key) bool { return k.Name == key.Name }) {
			return &r.Refusals[i]
		}
	}
	return nil
}

// Check runs the recipes with every type of key. It then compares the tables in
// the page's section with the recipes.
func Check(t *testing.T, page, section string, recipes []Recipe) {
	for _, recipe := range recipes {
		t.Run(recipe.File, func(t *testing.T) {
			for _, key := range Keys {
				for _, spec := range key.Specs {
					t.Run(string(spec), func(t *testing.T) {
						t.Parallel()
						recipe.check(t, key, spec)
					})
				}
			}
			if len(recipe.Refusals) == 0 {
				t.Error("the recipe shows no key that is refused")
			}
		})
	}
	t.Run("page", func(t *testing.T) { checkPage(t, page, section, tables(t, page, recipes)) })
	t.Run("length", func(t *testing.T) { checkLength(t, recipes) })
}

func (r *Recipe) check(t *testing.T, key Key, spec types.KeySpec) {
	err := r.Run(t, fake.NewSigner(spec))
	refusal := r.refusal(key)
	switch {
	case refusal == nil && err != nil:
		t.Errorf("the page says that this key works, but: %v", err)
	case refusal != nil && err == nil:
		t.Errorf("the page says that this key does not work (%q), but it does", refusal.Error)
	case refusal != nil && !strings.Contains(err.Error(), refusal.Error):
		t.Errorf("error\n\t%v\nThe page says\n\t%s", err, refusal.Error)
	}
}
