package main

import (
	"errors"
	"testing"
)

const oldPage = "Text.\n\n```sh\nfirst\n```\n\n| a |\n|---|\n| old |\n\n```sh\nwithout a table\n```\n\nText.\n\n```sh\nsecond\n```\n\n| b |\n|---|\n| 2 |\n"

func TestUpdate(t *testing.T) {
	const want = "Text.\n\n```sh\nfirst\n```\n\n| a |\n|---|\n| new |\n\n```sh\nwithout a table\n```\n\nText.\n\n```sh\nsecond\n```\n\n| b |\n|---|\n| 2 |\n"
	got, err := update(oldPage, func(command string) (string, error) {
		switch command {
		case "first":
			return "ok\n\n| a |\n|---|\n| new |\n\nPASS\n", nil
		case "second":
			return "", nil // not selected
		}
		t.Errorf("%q is run, although it has no table", command)
		return "", nil
	})
	if err != nil || got != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	for name, out := range map[string]error{"a command fails": errors.New("exit status 1"), "a command prints no table": nil} {
		got, err := update(oldPage, func(string) (string, error) { return "PASS\n", out })
		if err == nil || got != oldPage {
			t.Errorf("%s: %v, and the page is %q", name, err, got)
		}
	}
}
