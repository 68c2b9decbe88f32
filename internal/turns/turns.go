// Package turns measures functions against each other in one benchmark. The
// functions take turns, so that other load on the machine affects all of them
// alike, and each round gives one ratio for each pair of functions.
//
// A figure is the median over all rounds. Its range is that of the medians of
// ten consecutive parts of the run. Another run on the same machine should give
// a median within that range.
package turns

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// parts is the number of parts of a run whose medians give the range.
const parts = 10

// A Variant is one of the functions that are measured.
type Variant struct {
	Name string
	Run  func() error
}

// Times holds the durations of a run.
type Times struct {
	names  []string
	each   int
	rounds [][]time.Duration // by round, then by variant
}

// Measure runs rounds until the benchmark's time is up. In each round every
// variant is called each times, in an order that is reversed after each round.
// An error ends the benchmark.
func Measure(b *testing.B, each int, variants ...Variant) *Times {
	b.Helper()
	t := &Times{each: each}
	for _, v := range variants {
		t.names = append(t.names, v.Name)
		if err := v.Run(); err != nil { // fills caches
			b.Fatalf("%s: %v", v.Name, err)
		}
	}
	for b.Loop() {
		round := make([]time.Duration, len(variants))
		for i := range variants {
			if len(t.rounds)%2 == 1 {
				i = len(variants) - 1 - i
			}
			start := time.Now()
			for range each {
				if err := variants[i].Run(); err != nil {
					b.Fatalf("%s: %v", variants[i].Name, err)
				}
			}
			round[i] = time.Since(start)
		}
		t.rounds = append(t.rounds, round)
	}
	b.ReportMetric(0, "ns/op") // of a round, which means nothing
	b.ReportMetric(float64(len(t.rounds)), "rounds")
	return t
}

func (t *Times) index(name string) int {
	i := slices.Index(t.names, name)
	if i < 0 {
		panic("turns: no variant is called " + name)
	}
	return i
}

// Ratio returns how many times as long as base the variant takes.
func (t *Times) Ratio(name, base string) Figure {
	i, j := t.index(name), t.index(base)
	return t.figure(func(round []time.Duration) float64 { return float64(round[i]) / float64(round[j]) })
}

// Microseconds returns how long one call of the variant takes.
func (t *Times) Microseconds(name string) Figure {
	i := t.index(name)
	return t.figure(func(round []time.Duration) float64 { return t.micro(round[i]) })
}

// Difference returns by how many microseconds a call of the variant takes
// longer than one of base.
func (t *Times) Difference(name, base string) Figure {
	i, j := t.index(name), t.index(base)
	return t.figure(func(round []time.Duration) float64 { return t.micro(round[i] - round[j]) })
}

func (t *Times) micro(d time.Duration) float64 {
	return float64(d) / float64(time.Microsecond) / float64(t.each)
}

func (t *Times) figure(of func(round []time.Duration) float64) Figure {
	values := make([]float64, len(t.rounds))
	for i, round := range t.rounds {
		values[i] = of(round)
	}
	return NewFigure(values)
}

// A Figure is a median and its range.
type Figure struct{ Median, Low, High float64 }

// NewFigure returns the figure of measurements in the order in which they were
// made. If there are fewer than ten, the range is that of the measurements.
func NewFigure(values []float64) Figure {
	var medians []float64
	n := min(parts, len(values))
	for i := range n {
		medians = append(medians, median(values[i*len(values)/n:(i+1)*len(values)/n]))
	}
	return Figure{median(values), slices.Min(medians), slices.Max(medians)}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Scale returns the figure in another unit.
func (f Figure) Scale(factor float64) Figure {
	return Figure{f.Median * factor, f.Low * factor, f.High * factor}
}

// String returns the figure in the form "3.7 (3.6 to 3.8)".
func (f Figure) String() string {
	low, high := number(f.Low), number(f.High)
	if low == high {
		return number(f.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", number(f.Median), low, high)
}

// number returns x with three digits, or with three decimals if x is close to
// 1, where smaller differences matter.
func number(x float64) string {
	switch abs := math.Abs(x); {
	case abs >= 100:
		return fmt.Sprintf("%.0f", x)
	case abs >= 10:
		return fmt.Sprintf("%.1f", x)
	case abs >= 0.5 && abs < 1.5:
		return fmt.Sprintf("%.3f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// A Table collects rows and writes them as a table in Markdown.
type Table struct {
	header []string
	rows   [][]string
}

// NewTable returns a table with the given titles of its columns.
func NewTable(header ...string) *Table { return &Table{header: header} }

// Row adds a row. Each cell is formatted by [fmt.Sprint].
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = fmt.Sprint(cell)
	}
	t.rows = append(t.rows, row)
}

// Write writes the table if it has rows. Benchmarks that were not selected
// leave none.
func (t *Table) Write(w io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	fmt.Fprintln(w)
	line(t.header)
	fmt.Fprintf(w, "|%s\n", strings.Repeat("---|", len(t.header)))
	for _, row := range t.rows {
		line(row)
	}
	fmt.Fprintln(w)
}

// Allocations returns how often f allocates, the least of several measurements,
// because caches that the garbage collector empties are filled again.
func Allocations(f func() error) float64 {
	least := math.Inf(1)
	for range 5 {
		least = min(least, testing.AllocsPerRun(20, func() { f() }))
	}
	return least
}
