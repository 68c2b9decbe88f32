package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// Flags is a [flag.FlagSet] whose Parse checks more.
type Flags struct {
	*flag.FlagSet
	// About says what the program is for. -h prints it before the flags.
	About string

	positive []string // names of flags
	stdout   io.Writer
}

// NewFlags returns the flags of the named program.
func NewFlags(name string, stdio Stdio) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), stdout: stdio.Out}
	f.SetOutput(io.Discard) // Parse and Run report
	f.Usage = func() {}
	return f
}

// PositiveVar is DurationVar for a time that must be more than 0.
func (f *Flags) PositiveVar(p *time.Duration, name string, value time.Duration, usage string) {
	f.DurationVar(p, name, value, usage)
	f.positive = append(f.positive, name)
}

// Parse reads args, which must be flags only. For -h it writes the help to
// standard output and returns flag.ErrHelp. Its other errors are errors of
// [Usage]. It refuses an empty text for a flag that is empty by default, so
// that -key "$KEY" does not silently mean the default where KEY is unset.
func (f *Flags) Parse(args []string) error {
	if err := f.FlagSet.Parse(args); errors.Is(err, flag.ErrHelp) {
		f.help()
		return err
	} else if err != nil {
		return Usage(fmt.Errorf("%w%s; the flags are listed by -h", err, f.wanted(args)))
	}
	if f.NArg() > 0 {
		return Usage(fmt.Errorf("unexpected argument %q; the flags are listed by -h", f.Arg(0)))
	}
	var empty error
	f.Visit(func(given *flag.Flag) {
		if text, ok := get(given).(string); ok && text == "" && given.DefValue == "" && empty == nil {
			empty = Usage(fmt.Errorf("-%s is empty; leave it out for its default", given.Name))
		}
	})
	if empty != nil {
		return empty
	}
	for _, name := range f.positive {
		if d := get(f.Lookup(name)).(time.Duration); d <= 0 {
			return Usage(fmt.Errorf("-%s is %v, want more than 0", name, d))
		}
	}
	return nil
}

// wanted says what a time looks like if it is the value of one that Parse has
// refused. The flag package says only that it cannot be parsed.
func (f *Flags) wanted(args []string) string {
	parsed := args[:len(args)-f.NArg()]
	for i := len(parsed) - 1; i >= max(0, len(parsed)-2); i-- {
		name, _, _ := strings.Cut(strings.TrimLeft(parsed[i], "-"), "=")
		if named := f.Lookup(name); named != nil && strings.HasPrefix(parsed[i], "-") {
			if _, ok := get(named).(time.Duration); ok {
				return ", want a time with its unit, such as 500ms, 15s or 1h30m"
			}
			return ""
		}
	}
	return ""
}

// Given reports whether the command line has the flag.
func (f *Flags) Given(name string) bool {
	given := false
	f.Visit(func(fl *flag.Flag) { given = given || fl.Name == name })
	return given
}

// help writes About and the flags.
func (f *Flags) help() {
	var b bytes.Buffer
	if f.About != "" {
		fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(f.About))
	}
	fmt.Fprintf(&b, "Usage of %s:\n", f.Name())
	f.SetOutput(&b)
	f.PrintDefaults()
	f.SetOutput(io.Discard)
	width, ok := Width(f.stdout)
	if !ok {
		width = 80
	}
	// PrintDefaults indents by four spaces and a tab.
	text := strings.ReplaceAll(b.String(), "    \t", "        ")
	for line := range strings.Lines(text) {
		io.WriteString(f.stdout, wrap(line, width))
	}
}

// wrap breaks a line between words so that no line has more than width runes,
// if the words allow. The lines after the first have the indent of the first.
func wrap(line string, width int) string {
	text := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(text)]
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		switch {
		case used == 0:
			b.WriteString(indent)
			used = len(indent)
		case used+1+n > width:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	b.WriteByte('\n')
	return b.String()
}

// get returns the value of a flag, or nil for a flag that is a function.
func get(f *flag.Flag) any {
	if g, ok := f.Value.(flag.Getter); ok {
		return g.Get()
	}
	return nil
}
