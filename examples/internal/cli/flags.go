package cli

import (
	"errors"
	"flag"
	"fmt"
	"time"
)

// Flags is a [flag.FlagSet] whose Parse checks more.
type Flags struct {
	*flag.FlagSet
	positive []string // names of flags
}

// NewFlags returns the flags of the named program.
func NewFlags(name string, stdio Stdio) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.SetOutput(stdio.Err)
	return f
}

// PositiveVar is DurationVar for a time that must be more than 0.
func (f *Flags) PositiveVar(p *time.Duration, name string, value time.Duration, usage string) {
	f.DurationVar(p, name, value, usage)
	f.positive = append(f.positive, name)
}

// Parse reads args, which must be flags only. It returns flag.ErrHelp for -h,
// and else errors of [Usage]. It refuses an empty text for a flag that is empty
// by default, so that -key "$KEY" does not silently mean the default where KEY
// is unset.
func (f *Flags) Parse(args []string) error {
	if err := f.FlagSet.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return &usageError{error: err, reported: true}
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

// get returns the value of a flag, or nil for a flag that is a function.
func get(f *flag.Flag) any {
	if g, ok := f.Value.(flag.Getter); ok {
		return g.Get()
	}
	return nil
}
