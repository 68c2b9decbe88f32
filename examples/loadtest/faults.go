package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// faultKinds are the kinds of -faults.
var faultKinds = []struct {
	name   string
	effect kmstest.Effect
}{
	{"throttle", kmstest.Throttle()},
	{"500", kmstest.Fail(&types.KMSInternalException{Message: aws.String("an internal failure")})},
	{"503", kmstest.Respond(503, "")},
	{"reset", kmstest.Reset()},
	{"cut", kmstest.Cut()},
	{"hang", kmstest.Hang()},
	{"corrupt", kmstest.Corrupt()},
}

func faultNames() []string {
	var names []string
	for _, k := range faultKinds {
		names = append(names, k.name)
	}
	return names
}

// schedule says which calls fail, and how.
type schedule struct {
	shares map[string]float64 // of all calls, by kind
	seed   uint64
}

// parseFaults reads a list like throttle=5%,500=5%,reset=1%.
func parseFaults(list string, seed uint64) (schedule, error) {
	s := schedule{shares: map[string]float64{}, seed: seed}
	if list == "" {
		return s, nil
	}
	sum := 0.0
	for item := range strings.SplitSeq(list, ",") {
		name, text, _ := strings.Cut(item, "=")
		number, ok := strings.CutSuffix(text, "%")
		percent, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || !(percent > 0 && percent <= 100) {
			return s, fmt.Errorf("-faults has %q, want a kind and its share, such as throttle=5%%", item)
		}
		known := false
		for _, k := range faultKinds {
			known = known || k.name == name
		}
		if !known {
			return s, fmt.Errorf("-faults has the kind %q, want one of %s", name, strings.Join(faultNames(), ", "))
		}
		if _, twice := s.shares[name]; twice {
			return s, fmt.Errorf("-faults has %s twice", name)
		}
		s.shares[name] = percent / 100
		sum += percent
	}
	if sum > 100+1e-9 {
		return s, fmt.Errorf("-faults has %v%% of all calls, want 100%% at most", sum)
	}
	return s, nil
}

// hits returns one entry for each call: the index in faultKinds of the fault
// that hits it, or -1. The entries are the same for the same seed.
func (s schedule) hits(calls int) []int {
	random := rand.New(rand.NewPCG(s.seed, 0))
	hits := make([]int, calls)
	for n := range hits {
		hits[n] = -1
		x := random.Float64()
		for i, k := range faultKinds {
			if x -= s.shares[k.name]; x < 0 {
				hits[n] = i
				break
			}
		}
	}
	return hits
}

// inject makes the fake apply the faults to its calls from now on.
func inject(fake *kmstest.KMS, hits []int) {
	for n, i := range hits {
		if i >= 0 {
			fake.Inject(kmstest.Match{Skip: n, Times: 1}, faultKinds[i].effect)
		}
	}
}

// counted returns how many of the first calls were hit by each kind of fault.
func counted(hits []int, calls int) map[string]int {
	count := map[string]int{}
	for _, i := range hits[:min(calls, len(hits))] {
		if i >= 0 {
			count[faultKinds[i].name]++
		}
	}
	return count
}
