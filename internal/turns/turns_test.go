package turns

import (
	"strings"
	"testing"
	"time"
)

// The figures of known durations: the variant takes twice as long as the base
// in nine of ten parts, and four times as long in one.
func TestFigures(t *testing.T) {
	times := &Times{names: []string{"base", "variant"}, each: 10}
	for i := range 100 {
		slow := 2 * time.Millisecond
		if i/10 == 3 {
			slow = 4 * time.Millisecond
		}
		times.rounds = append(times.rounds, []time.Duration{time.Millisecond, slow})
	}
	for _, tt := range []struct {
		figure Figure
		want   Figure
	}{
		{times.Ratio("variant", "base"), Figure{2, 2, 4}},
		{times.Ratio("base", "variant"), Figure{0.5, 0.25, 0.5}},
		{times.Microseconds("base"), Figure{100, 100, 100}},
		{times.Difference("variant", "base"), Figure{100, 100, 300}},
		{NewFigure([]float64{3, 1, 2}), Figure{2, 1, 3}},
		{NewFigure([]float64{1, 2}), Figure{1.5, 1, 2}},
	} {
		if tt.figure != tt.want {
			t.Errorf("got %v, want %v", tt.figure, tt.want)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable("key", "ratio")
	var b strings.Builder
	table.Write(&b)
	if b.Len() != 0 {
		t.Errorf("an empty table is written as %q", b.String())
	}
	table.Row("P-256", Figure{3.714, 3.6, 3.8})
	table.Row("RSA", Figure{1.0071, 1.0071, 1.0074})
	table.Row("P-521", Figure{41.2, 40, 52})
	table.Write(&b)
	const want = `
| key | ratio |
|---|---|
| P-256 | 3.71 (3.60 to 3.80) |
| RSA | 1.007 |
| P-521 | 41.2 (40.0 to 52.0) |

`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}
}

// Every variant is called the same number of times in each round, and once
// before.
func BenchmarkMeasure(b *testing.B) {
	calls := map[string]int{}
	variant := func(name string) Variant {
		return Variant{name, func() error { calls[name]++; return nil }}
	}
	times := Measure(b, 3, variant("a"), variant("b"))
	if want := 1 + 3*len(times.rounds); calls["a"] != want || calls["b"] != want {
		b.Errorf("calls %v, want %d of each", calls, want)
	}
}
