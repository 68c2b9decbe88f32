package kmstest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// layout returns a policy in the form in which recordings of GetKeyPolicy show
// it, whatever the form in which it was put. partition is the partition of the
// accounts that it names. The policy must be valid JSON.
func layout(policy, partition string) (string, error) {
	d := json.NewDecoder(strings.NewReader(policy))
	d.UseNumber()
	root, err := parseNode(d)
	if err != nil {
		return "", err
	}
	root.normalize(partition)
	var b strings.Builder
	root.print(&b, "")
	return b.String(), nil
}

// node is a JSON value whose members are in order.
type node struct {
	kind    json.Delim // '{', '[' or 0 for a scalar
	scalar  json.Token
	names   []string // of the members of an object
	content []*node  // members or elements
}

func parseNode(d *json.Decoder) (*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	kind, nested := token.(json.Delim)
	if !nested {
		return &node{scalar: token}, nil
	}
	n := &node{kind: kind}
	for d.More() {
		if kind == '{' {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			n.names = append(n.names, name.(string))
		}
		value, err := parseNode(d)
		if err != nil {
			return nil, err
		}
		n.content = append(n.content, value)
	}
	_, err = d.Token() // the end
	return n, err
}

// member returns a member of an object, or nil.
func (n *node) member(name string) *node {
	if i := slices.Index(n.names, name); i >= 0 {
		return n.content[i]
	}
	return nil
}

// normalize changes a policy as KMS does: members of the policy, of statements
// and of condition operators have a fixed order, Statement is a list, other
// lists of one string are that string, and an account is the ARN of its root.
func (n *node) normalize(partition string) {
	n.sort(memberPlace)
	statements := n.member("Statement")
	switch {
	case statements == nil:
		return
	case statements.kind != '[':
		one := *statements
		*statements = node{kind: '[', content: []*node{&one}}
	}
	for _, s := range statements.content {
		s.sort(memberPlace)
		for _, name := range []string{"Principal", "NotPrincipal"} {
			if p := s.member(name); p != nil && p.member("AWS") != nil {
				p.member("AWS").rootARNs(partition)
			}
		}
		if c := s.member("Condition"); c != nil {
			for _, operator := range c.content {
				operator.sort(func(string) int { return 0 })
			}
		}
		s.unwrap()
	}
}

// memberOrder is the order of the members of a policy and of a statement.
var memberOrder = []string{
	"Version", "Id", "Statement",
	"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}

// memberPlace returns the place of a member in memberOrder. Others come last.
func memberPlace(name string) int {
	if i := slices.Index(memberOrder, name); i >= 0 {
		return i
	}
	return len(memberOrder)
}

// sort sorts the members of an object by their place, and by name if they have
// the same.
func (n *node) sort(place func(string) int) {
	order := make([]int, len(n.names))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		if d := place(n.names[i]) - place(n.names[j]); d != 0 {
			return d
		}
		return strings.Compare(n.names[i], n.names[j])
	})
	names, content := slices.Clone(n.names), slices.Clone(n.content)
	for i, from := range order {
		n.names[i], n.content[i] = names[from], content[from]
	}
}

// unwrap replaces the lists of one scalar in n by the scalar.
func (n *node) unwrap() {
	if n.kind == '[' && len(n.content) == 1 && n.content[0].kind == 0 {
		*n = *n.content[0]
	}
	for _, c := range n.content {
		c.unwrap()
	}
}

// rootARNs replaces the account IDs among principals by ARNs.
func (n *node) rootARNs(partition string) {
	if id, ok := n.scalar.(string); ok && accountID.MatchString(id) {
		n.scalar = "arn:" + partition + ":iam::" + id + ":root"
	}
	for _, c := range n.content {
		c.rootARNs(partition)
	}
}

// print writes n in the layout of defaultPolicy. A line begins with indent.
func (n *node) print(b *strings.Builder, indent string) {
	switch {
	case n.kind == 0:
		printScalar(b, n.scalar)
	case n.kind == '[':
		b.WriteString("[ ")
		for i, c := range n.content {
			if i > 0 {
				b.WriteString(", ")
			}
			c.print(b, indent)
		}
		if len(n.content) > 0 {
			b.WriteString(" ")
		}
		b.WriteString("]")
	case len(n.content) == 0:
		b.WriteString("{ }")
	default:
		separator := "{\n"
		for i, c := range n.content {
			b.WriteString(separator + indent + "  ")
			printScalar(b, n.names[i])
			b.WriteString(" : ")
			c.print(b, indent+"  ")
			separator = ",\n"
		}
		b.WriteString("\n" + indent + "}")
	}
}

func printScalar(b *strings.Builder, scalar any) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if e.Encode(scalar) == nil { // scalars always encode
		b.WriteString(strings.TrimSuffix(text.String(), "\n"))
	}
}
