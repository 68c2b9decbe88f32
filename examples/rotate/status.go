package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/kmssign/kmssign/jwtkms/keyring"
)

// show writes where the aliases point, what is odd, and which step is next.
func show(ctx context.Context, client keyring.InspectClient, signing string, req request, now time.Time, stdout io.Writer) error {
	s, err := keyring.Inspect(ctx, client, signing, func(o *keyring.RotateOptions) { *o = req.opts })
	if err != nil {
		return err
	}
	if req.json {
		return writeJSON(stdout, report(s))
	}
	_, err = io.WriteString(stdout, text(s, now))
	return err
}

// maxState is the length of a state that fits beside a key ID and the longest
// key spec, ECC_NIST_EDWARDS25519.
const maxState = 80 - len("mrk-1234abcd12ab34cd56ef1234567890ab  ECC_NIST_EDWARDS25519  ")

// text formats a status in lines of 80 columns, unless a name is longer.
func text(s keyring.Status, now time.Time) string {
	aliases := []keyring.AliasStatus{s.Signing, s.Next, s.Previous}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MOVED\tKEY\tALIAS")
	for _, a := range aliases {
		if a.KeyARN == "" {
			fmt.Fprintf(w, "-\t-\t%s\n", a.Name)
			continue
		}
		fmt.Fprintf(w, "%s ago\t%s\t%s\n", age(a.Age), id(a.KeyARN), a.Name)
	}
	w.Flush()
	fmt.Fprintln(&b)
	fmt.Fprintln(w, "KEY\tSPEC\tSTATE")
	var listed []string
	for _, a := range aliases {
		if a.KeyARN == "" || slices.Contains(listed, a.KeyARN) {
			continue
		}
		listed = append(listed, a.KeyARN)
		state := string(a.KeyState)
		if a.Revoked {
			state = "Revoked"
		}
		row := "%s\t%s\t%s\n"
		if len(state) > maxState {
			row = "%s\t%s\n\t%s\n" // below the spec, because the line would be too long
		}
		fmt.Fprintf(w, row, id(a.KeyARN), a.KeySpec, state)
	}
	w.Flush()
	fmt.Fprintf(&b, "\nThe ring is %s.\n", s.State)
	switch {
	case s.Step == "":
		fmt.Fprintln(&b, "No step is next.")
	case s.Wait > 0:
		fmt.Fprintf(&b, "The next step is %s, in %v, at %s.\n", s.Step, s.Wait, now.Add(s.Wait).UTC().Format(time.RFC3339))
	default:
		fmt.Fprintf(&b, "The next step is %s, now or at any time.\n", s.Step)
	}
	bullets(&b, "Odd:", s.Odd)
	bullets(&b, "Keys that were made for the ring and have no alias:", s.Leftovers)
	return b.String()
}

// bullets writes a list, each entry wrapped.
func bullets(b *strings.Builder, title string, entries []string) {
	if len(entries) > 0 {
		fmt.Fprintf(b, "%s\n", title)
	}
	for _, entry := range entries {
		line := "-"
		for word := range strings.FieldsSeq(entry) {
			if len(line)+1+len(word) > 80 && strings.TrimSpace(line) != "-" {
				fmt.Fprintln(b, line)
				line = " "
			}
			line += " " + word
		}
		fmt.Fprintln(b, line)
	}
}

// id returns the key ID in a key ARN.
func id(keyARN string) string {
	named, err := arn.Parse(keyARN)
	if err != nil {
		return keyARN
	}
	return strings.TrimPrefix(named.Resource, "key/")
}

// age formats the time since an alias was moved, in one or two units.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.Truncate(time.Second).String()
}

// jsonStatus is a status for -json. Times are in seconds.
type jsonStatus struct {
	State       keyring.State `json:"state"`
	Signing     jsonAlias     `json:"signing"`
	Next        jsonAlias     `json:"next"`
	Previous    jsonAlias     `json:"previous"`
	Step        keyring.Step  `json:"step,omitempty"`
	WaitSeconds float64       `json:"waitSeconds"`
	Odd         []string      `json:"odd"`
	Leftovers   []string      `json:"leftovers"`
}

type jsonAlias struct {
	Alias      string  `json:"alias"`
	KeyARN     string  `json:"keyArn,omitempty"`
	KeySpec    string  `json:"keySpec,omitempty"`
	KeyState   string  `json:"keyState,omitempty"`
	AgeSeconds float64 `json:"ageSeconds"`
	Revoked    bool    `json:"revoked"`
}

func report(s keyring.Status) jsonStatus {
	alias := func(a keyring.AliasStatus) jsonAlias {
		return jsonAlias{a.Name, a.KeyARN, string(a.KeySpec), string(a.KeyState), a.Age.Seconds(), a.Revoked}
	}
	return jsonStatus{
		State: s.State, Signing: alias(s.Signing), Next: alias(s.Next), Previous: alias(s.Previous),
		Step: s.Step, WaitSeconds: s.Wait.Seconds(),
		Odd: append([]string{}, s.Odd...), Leftovers: append([]string{}, s.Leftovers...),
	}
}
