package kmstest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// layout returns a policy in the form in which recordings of GetKeyPolicy show
// it, whatever the form in which it was put: with line breaks and indentation as
// in defaultPolicy, and with the members of the policy and of its statements in
// a fixed order.
func layout(policy string) (string, error) {
	d := json.NewDecoder(strings.NewReader(policy))
	d.UseNumber()
	var b strings.Builder
	if err := layoutValue(d, &b, ""); err != nil {
		return "", refuse("MalformedPolicyDocumentException", "The new key policy is not valid.")
	}
	return b.String(), nil
}

// layoutOrder is the order of the members of a policy and of a statement.
// Others follow in the order of the policy.
var layoutOrder = []string{
	"Version", "Id", "Statement",
	"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}

// layoutValue writes the next value of d. A line begins with indent.
func layoutValue(d *json.Decoder, b *strings.Builder, indent string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		return layoutList(d, b, indent)
	case json.Delim('{'):
		return layoutMembers(d, b, indent)
	}
	return layoutScalar(b, token)
}

// layoutList writes the elements of an array and its end.
func layoutList(d *json.Decoder, b *strings.Builder, indent string) error {
	b.WriteString("[ ")
	for i := 0; d.More(); i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := layoutValue(d, b, indent); err != nil {
			return err
		}
		if !d.More() {
			b.WriteString(" ")
		}
	}
	b.WriteString("]")
	_, err := d.Token()
	return err
}

// layoutMembers writes the members of an object and its end.
func layoutMembers(d *json.Decoder, b *strings.Builder, indent string) error {
	type member struct {
		place int // in layoutOrder
		text  string
	}
	var members []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		m := member{place: slices.Index(layoutOrder, name.(string))}
		if m.place < 0 {
			m.place = len(layoutOrder)
		}
		var text strings.Builder
		if err := layoutScalar(&text, name); err != nil {
			return err
		}
		text.WriteString(" : ")
		if err := layoutValue(d, &text, indent+"  "); err != nil {
			return err
		}
		m.text = text.String()
		members = append(members, m)
	}
	slices.SortStableFunc(members, func(x, y member) int { return x.place - y.place })
	b.WriteString("{")
	for i, m := range members {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n" + indent + "  " + m.text)
	}
	b.WriteString("\n" + indent + "}")
	_, err := d.Token()
	return err
}

// layoutScalar writes a string, a number, a Boolean or null.
func layoutScalar(b *strings.Builder, token json.Token) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(token)
	b.WriteString(strings.TrimSuffix(text.String(), "\n"))
	return err
}
