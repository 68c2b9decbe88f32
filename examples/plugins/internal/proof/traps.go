package proof

import (
	"fmt"
	"strings"
	"testing"
)

// A Trap is a use of a key that compiles and does not do what it seems to.
type Trap struct {
	Name string // of the subtest
	What string // what a user does
	Do   string // what to do instead

	// Run falls into the trap and returns what happens, which Seen is a part of.
	Run  func(t *testing.T) error
	Seen string
}

// CheckTraps runs each trap. It then compares the table in the page's section with
// the traps.
func CheckTraps(t *testing.T, page, section string, traps []Trap) {
	var b strings.Builder
	b.WriteString("| trap | what happens | what to do |\n|---|---|---|\n")
	for _, trap := range traps {
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", trap.What, trap.Seen, trap.Do)
		t.Run(trap.Name, func(t *testing.T) {
			if err := trap.Run(t); err == nil || !strings.Contains(err.Error(), trap.Seen) {
				t.Errorf("what happens: %v\nThe page says: %s", err, trap.Seen)
			}
		})
	}
	t.Run("page", func(t *testing.T) { checkPage(t, page, section, b.String()) })
}
