package kmstest

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/kmssign/kmssign/internal/recordings"
)

// TestRecordings sends the calls of public recordings to the fake and compares
// its answers with those of KMS. It prints the number of answers and of those
// that agree. A difference fails the test, unless the recording argues it.
func TestRecordings(t *testing.T) {
	all, err := recordings.All()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{} // by source
	total, argued, differ := 0, 0, 0
	for _, r := range all {
		got, err := r.Replay(t.Context(), target(New(func(o *Options) { o.AccountID = recordings.Account })))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range got {
			total++
			rows[r.Source]++
			switch {
			case row.Problem != "" && row.Reason != "":
				argued++
			case row.Problem != "":
				differ++
				t.Errorf("%s %s, %s: %s", r.Source, r.Test, row.Operation, row.Problem)
			case row.Reason != "":
				t.Errorf("%s %s, %s agrees, although the recording says that it differs: %s", r.Source, r.Test, row.Operation, row.Reason)
			}
		}
	}
	for _, source := range slices.Sorted(maps.Keys(rows)) {
		t.Logf("%4d answers from %s", rows[source], source)
	}
	t.Logf("%d answers: %d agree, %d differ for a reason that the recording gives, %d differ", total, total-argued-differ, argued, differ)
	if total < 250 {
		t.Error("answers are missing")
	}
}

// target makes the calls of a recording to a fake.
func target(k *KMS) recordings.Target {
	return recordings.Target{
		Account: k.opts.AccountID,
		Region:  k.opts.Region,
		Call: func(ctx context.Context, region, operation string, body []byte) (recordings.Answer, error) {
			a, err := k.Region(region).handle(ctx, targetPrefix+operation, body, nil)
			if err != nil {
				return recordings.Answer{}, err
			}
			return recordings.Answer{Status: a.status, Body: a.body}, nil
		},
	}
}
