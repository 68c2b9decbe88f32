// Package recordings has answers of AWS KMS that are public, and replays them:
// to the fake of package kmstest, whose answers must be the same, and to KMS,
// to see whether it still answers so. The head of recordings.txt describes
// them.
package recordings

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

//go:embed recordings.txt
var table string

// Recording is a sequence of calls and their recorded answers.
type Recording struct {
	Source string // repository
	File   string // in the repository, or the issue
	Day    string // such as 2025-01-21
	Test   string // that made the recording

	// FakeOnly says why the calls cannot be made to KMS in any account. It is
	// empty if they can.
	FakeOnly string

	lines []string
	vars  map[string]string
}

// Account and Region are those of the calls in the table. Replay replaces them.
const (
	Account = "111111111111"
	Region  = "us-east-1"
)

// All returns all recordings. One that stands for several has a copy for each.
func All() ([]Recording, error) {
	global := map[string]string{}
	var all []Recording
	var lines []string
	flush := func() error {
		if len(lines) == 0 {
			return nil
		}
		some, err := parse(lines, global)
		all, lines = append(all, some...), nil
		return err
	}
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "recording "):
			if err := flush(); err != nil {
				return nil, err
			}
			lines = []string{line}
		case len(lines) == 0:
			name, text, _ := strings.Cut(strings.TrimPrefix(line, "define "), " ")
			global[name] = text
		default:
			lines = append(lines, line)
		}
	}
	return all, flush()
}

// Texts returns the codes and texts of the recorded errors.
func Texts() []string {
	var texts []string
	for line := range strings.Lines(table) {
		if text, ok := strings.CutPrefix(line, "no "); ok {
			texts = append(texts, strings.TrimSuffix(text, "\n"))
		}
	}
	return texts
}

func parse(lines []string, global map[string]string) ([]Recording, error) {
	var sets []map[string]string
	var r Recording
	for _, line := range lines[1:] {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "with":
			set := maps.Clone(global)
			for _, pair := range strings.Fields(rest) {
				name, value, _ := strings.Cut(pair, "=")
				set[name] = value
			}
			sets = append(sets, set)
		case "fakeonly":
			r.FakeOnly = rest
		default:
			r.lines = append(r.lines, line)
		}
	}
	if sets == nil {
		sets = []map[string]string{maps.Clone(global)}
	}
	var all []Recording
	for _, vars := range sets {
		head, err := expand(lines[0], vars)
		fields := strings.Fields(head)
		if err != nil || len(fields) != 5 {
			return nil, fmt.Errorf("%q is not the head of a recording: %v", head, err)
		}
		one := r
		one.vars, one.Source, one.File, one.Day, one.Test = vars, fields[1], fields[2], fields[3], fields[4]
		all = append(all, one)
	}
	return all, nil
}

var variable = regexp.MustCompile(`\$(quoted )?(51 tags|257 vs|129 as|[a-z][a-z0-9]*)`)

// expand replaces the names of variables by their values.
func expand(s string, vars map[string]string) (string, error) {
	var missing error
	expanded := variable.ReplaceAllStringFunc(s, func(m string) string {
		name, quoted := strings.CutPrefix(m[1:], "quoted ")
		switch name {
		case "51 tags":
			var tags []string
			for i := range 51 {
				tags = append(tags, fmt.Sprintf(`{"TagKey":"tag%d","TagValue":""}`, i))
			}
			return strings.Join(tags, ",")
		case "257 vs":
			return strings.Repeat("v", 257)
		case "129 as":
			return strings.Repeat("a", 129)
		}
		text, ok := vars[name]
		if !ok {
			missing = fmt.Errorf("no value for %s in %s", m, s)
			return m
		}
		value, err := expand(text, vars)
		if err != nil {
			missing = err
		}
		if quoted {
			return strconv.Quote(value)
		}
		return value
	})
	return expanded, missing
}

// newer has the days, to the month or so, on which KMS added members to answers
// that older recordings have.
var newer = map[string]string{
	"CustomerMasterKeySpec":                     "2019-11-25",
	"EncryptionAlgorithms":                      "2019-11-25",
	"MultiRegion":                               "2021-06-16",
	"KeySpec":                                   "2021-09-01",
	"CurrentKeyMaterialId":                      "2025-06-06",
	"ScheduleKeyDeletion.KeyState":              "2020-12-01",
	"ScheduleKeyDeletion.PendingWindowInDays":   "2020-12-01",
	"GetKeyPolicy.PolicyName":                   "2023-12-01",
	"GetKeyRotationStatus.KeyId":                "2024-04-12",
	"GetKeyRotationStatus.RotationPeriodInDays": "2024-04-12",
	"GetKeyRotationStatus.NextRotationDate":     "2024-04-12",
}
