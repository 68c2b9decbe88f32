package keyring

import (
	"fmt"
	"iter"
	"strings"
	"time"
)

const sec = time.Second

// sequence places steps one after the other, each as early as it may be taken,
// and, where it has to wait, once half a second earlier, where it must be
// refused.
func sequence(from time.Duration, steps ...string) (acts []act, at []time.Duration) {
	now := from
	for n, step := range steps {
		var gap time.Duration
		switch {
		case strings.HasPrefix(step, "revoke"):
			gap = 5 * sec
		case step == "prepare" || step == "rollback":
			gap = scope.window()
		case step == "promote":
			gap = scope.PropagationDelay
		case step == "retire":
			gap = scope.hold()
		}
		if n > 0 {
			now += gap
			acts = append(acts, act{At: now - sec/2, Do: step})
			now += sec / 2
		}
		acts = append(acts, act{At: now, Do: step})
		at = append(at, now)
	}
	return acts, at
}

var rings = []script{
	{Ring: "rest"}, {Ring: "fresh"}, {Ring: "legacy"}, {Ring: "legacy prepared", Age: 300 * sec}, {Ring: "prepared", Age: 300 * sec},
	{Ring: "promoted", Age: 60 * sec}, {Ring: "promoted", Age: 300 * sec}, {Ring: "rolled back", Age: 60 * sec}, {Ring: "retired", Age: 60 * sec},
}

var allSteps = []string{"prepare", "promote", "retire", "rollback", "revoke jwt", "revoke next"}

// words are all sequences of n of the choices.
func words(n int, choices []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		word := make([]string, n)
		var fill func(i int) bool
		fill = func(i int) bool {
			if i == n {
				return yield(word)
			}
			for _, c := range choices {
				word[i] = c
				if !fill(i + 1) {
					return false
				}
			}
			return true
		}
		fill(0)
	}
}

// starts: every sequence of up to three steps; an issuer starts before, after
// and in the middle of the calls of the last step, and the running one
// refreshes right before it or in its middle.
func starts(yield func(script) bool) {
	for n := 1; n <= 3; n++ {
		for i, ring := range rings {
			if n == 3 && i%2 == 1 { // the others begin in the middle of these
				continue
			}
			for word := range words(n, allSteps) {
				acts, at := sequence(100*sec, word...)
				step := at[len(at)-1]
				for _, x := range []time.Duration{-time.Millisecond, 4 * time.Millisecond} {
					offsets := []time.Duration{-sec, 11 * sec}
					for d := -4; d <= 6; d++ {
						offsets = append(offsets, time.Duration(d)*time.Millisecond)
					}
					for _, y := range offsets {
						s := ring
						s.Acts = append([]act{{At: (step + x) % scope.RefreshInterval, Do: "start x"}}, acts...)
						s.Acts = append(s.Acts, act{At: step + y, Do: "start y"})
						if !yield(s) {
							return
						}
					}
				}
			}
		}
	}
}

// stories are the sequences that change most.
var stories = []struct {
	ring  script
	steps []string
}{
	{script{Ring: "rest"}, []string{"prepare", "promote", "retire"}},
	{script{Ring: "fresh"}, []string{"prepare", "promote", "retire"}},
	{script{Ring: "legacy"}, []string{"prepare", "promote", "rollback", "retire"}},
	{script{Ring: "legacy prepared", Age: 300 * sec}, []string{"promote", "promote", "retire"}},
	{script{Ring: "prepared", Age: 300 * sec}, []string{"promote", "rollback", "retire"}},
	{script{Ring: "prepared", Age: 300 * sec}, []string{"promote", "revoke jwt", "prepare"}},
	{script{Ring: "prepared", Age: 300 * sec}, []string{"revoke jwt", "prepare"}},
	{script{Ring: "prepared", Age: 300 * sec}, []string{"promote", "revoke prev", "prepare"}},
	{script{Ring: "rolled back", Age: 60 * sec}, []string{"revoke jwt", "prepare"}},
	{script{Ring: "promoted", Age: 200 * sec}, []string{"retire", "prepare", "promote"}},
}

// tardy is how late KMS may be.
const tardy = 20*sec - 50*time.Millisecond // Slack, less the length of a refresh

// lates: each alias and ListAliases, each on its own, is seen late by the
// running issuer, by the one that starts, or by both, against whole rotations,
// rollbacks and revocations.
func lates(yield func(script) bool) {
	for _, story := range stories {
		acts, at := sequence(100*sec, story.steps...)
		for n, step := range at {
			if n > 2 {
				continue
			}
			for subset := range 16 {
				for _, who := range []string{"x", "y", "xy"} {
					if subset == 0 && who != "x" {
						continue
					}
					var view []late
					for i, what := range []string{"next", "jwt", "prev", "list"} {
						for _, name := range who {
							if subset>>i&1 == 1 {
								view = append(view, late{string(name), what, tardy})
							}
						}
					}
					for _, x := range []time.Duration{4 * time.Millisecond, 10 * sec, 19900 * time.Millisecond} {
						for _, y := range []time.Duration{4 * time.Millisecond, sec, 19900 * time.Millisecond, 21 * sec} {
							s := story.ring
							s.Late = view
							s.Acts = append([]act{{At: (step + x) % scope.RefreshInterval, Do: "start x"}}, acts...)
							s.Acts = append(s.Acts, act{At: step + y, Do: "start y"})
							if !yield(s) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// tight: what the assumptions allow at most, all at once: KMS is late, and
// refreshes fail for F after a step, or are slow, or a clock is fast, while
// another issuer starts right after a step.
func tight(yield func(script) bool) {
	type trouble struct {
		late, slow, fast time.Duration
	}
	for _, story := range stories {
		acts, at := sequence(100*sec, story.steps...)
		for n, step := range at {
			for _, trouble := range []trouble{
				{late: tardy}, {}, {late: tardy / 2, slow: 1200 * time.Millisecond}, {late: tardy / 2, fast: 10 * sec}, {fast: tardy},
			} {
				for _, view := range [][]late{
					{{"x", "next", trouble.late}, {"x", "jwt", trouble.late}, {"x", "prev", trouble.late}, {"x", "list", trouble.late}},
					{{"x", "next", trouble.late}, {"x", "jwt", trouble.late}, {"x", "prev", trouble.late}},
					{{"x", "jwt", trouble.late}},
				} {
					for _, x := range []time.Duration{-20 * time.Millisecond, trouble.late - 20*time.Millisecond, trouble.late, trouble.late + 10*time.Millisecond} {
						for _, failing := range []bool{true, false} {
							for _, m := range at[n:] {
								// Right after the attempt that must be refused,
								// after the one that is not, and later.
								for _, y := range []time.Duration{60 * time.Millisecond, 1060 * time.Millisecond, 40 * sec} {
									s := story.ring
									s.Late, s.Slow, s.Fast = view, trouble.slow, trouble.fast
									refresh := step + x
									s.Acts = append([]act{{At: refresh % scope.RefreshInterval, Do: "start x"}}, acts...)
									s.Acts = append(s.Acts, act{At: m - sec + y, Do: "start y"})
									if failing {
										s.Down = []down{{"x", refresh + 50*sec, refresh + 89*sec}}
									}
									if !yield(s) {
										return
									}
								}
							}
						}
					}
				}
			}
		}
	}
}

// moments are rings in which a step may be taken, or is about to be.
var moments = []script{
	{Ring: "fresh"}, {Ring: "legacy"}, {Ring: "rest"},
	{Ring: "prepared", Age: 10 * sec}, {Ring: "prepared", Age: 300 * sec},
	{Ring: "promoted", Age: 10 * sec}, {Ring: "promoted", Age: 60 * sec},
	{Ring: "promoted", Age: 145 * sec}, {Ring: "promoted", Age: 185 * sec}, {Ring: "promoted", Age: 195 * sec},
	{Ring: "rolled back", Age: 10 * sec}, {Ring: "rolled back", Age: 145 * sec}, {Ring: "rolled back", Age: 185 * sec}, {Ring: "rolled back", Age: 300 * sec},
	{Ring: "retired", Age: 15 * sec}, {Ring: "retired", Age: 60 * sec},
}

var pairSteps = []string{"prepare", "promote", "retire", "rollback", "revoke jwt", "revoke next", "revoke prev", "advance"}

// pairs: two operators take any two steps at once. One pauses before any of its
// calls, the other takes its step meanwhile and pauses before any of its calls
// until the first has ended.
func pairs(yield func(script) bool) {
	for _, ring := range moments {
		for word := range words(2, pairSteps) {
			for i := 1; i <= 9; i++ {
				for j := 0; j <= 8; j += 4 {
					s := ring
					s.Acts = []act{
						{At: 0, Do: "start x"},
						{At: 15 * sec, Do: "start z"},
						{At: 50 * sec, Do: word[0], Pause: i, For: 12 * sec},
						{At: 56 * sec, Do: word[1], Pause: j, For: 12 * sec},
						{At: 69 * sec, Do: "start y"},
						{At: 150 * sec, Do: word[0]},
						{At: 201 * sec, Do: "advance"},
						{At: 252 * sec, Do: "advance"},
					}
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// delays: two operators, of whom one is delayed up to its deadline before any
// of its calls, and the other takes its step anywhere in the time in which the
// first can do harm. KMS shows all aliases late to both, or none.
func delays(yield func(script) bool) {
	for _, ring := range moments {
		for word := range words(2, pairSteps) {
			for _, i := range []int{2, 5, 7, 8} {
				for n, second := range []time.Duration{5 * sec, 28 * sec, 36 * sec, 48 * sec, 5 * sec, 49 * sec} {
					s := ring
					if n >= 4 {
						s.Late = []late{{"operator", "next", tardy}, {"operator", "jwt", tardy}, {"operator", "prev", tardy}, {"operator", "list", tardy}}
					}
					s.Acts = []act{
						{At: 0, Do: "start x"},
						{At: 15 * sec, Do: "start z"},
						{At: 40 * sec, Do: word[0], Pause: i, For: stepLimit - 100*time.Millisecond},
						{At: 40*sec + second, Do: word[1]},
						{At: 71 * sec, Do: "start y"},
						{At: 150 * sec, Do: "advance"},
						{At: 201 * sec, Do: "advance"},
					}
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// kills: a step is killed before or after any of its calls, and taken again at
// once and when the window is over.
func kills(yield func(script) bool) {
	for _, ring := range moments {
		for _, step := range pairSteps {
			for call := 1; call <= 12; call++ {
				for _, after := range []int{1, -1} {
					for _, again := range []time.Duration{sec, scope.window() + sec} {
						for _, y := range []time.Duration{50 * time.Millisecond, again + 4*time.Millisecond} {
							s := ring
							s.Acts = []act{
								{At: 0, Do: "start x"},
								{At: 50 * sec, Do: step, Kill: after * call},
								{At: 50*sec + y, Do: "start y"},
								{At: 50*sec + again, Do: step},
								{At: 160 * sec, Do: "advance"},
								{At: 211 * sec, Do: "advance"},
							}
							if !yield(s) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// replicas: three Advance at once, and again and again until the rotation is
// over, of which one pauses before any of its calls, another too.
func replicas(yield func(script) bool) {
	for _, ring := range moments {
		for i := 0; i <= 9; i++ {
			for j := 0; j <= 9; j++ {
				for _, pause := range []time.Duration{6 * sec, 29 * sec} {
					s := ring
					s.Keys = 1
					s.Acts = []act{{At: 0, Do: "start x"}, {At: 15 * sec, Do: "start y"}}
					for round := range 6 {
						at := 50*sec + time.Duration(round)*70*sec
						s.Acts = append(s.Acts,
							act{At: at, Do: "advance", Pause: i, For: pause},
							act{At: at + 2*sec, Do: "advance", Pause: j, For: 4 * sec},
							act{At: at + 4*sec, Do: "advance"})
					}
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// moves are what hands may do to the aliases.
func moves(keys string) (all []string) {
	for _, alias := range []string{"jwt", "next", "prev"} {
		for _, key := range keys {
			all = append(all, fmt.Sprintf("point %s %c", alias, key))
		}
	}
	return append(all, "delete next", "delete prev")
}

// paces are how fast hands move.
var paces = []time.Duration{sec / 2, 31 * sec, scope.RefreshInterval, 90 * sec, scope.settle(), scope.PropagationDelay, scope.PropagationDelay + scope.RefreshInterval}

// hands: every order of two and of three moves over all aliases and keys, at
// any pace. The issuers run throughout.
func hands(yield func(script) bool) {
	hand := func(ring script, word []string, gaps ...time.Duration) bool {
		for _, x := range []time.Duration{-time.Millisecond, 30 * sec}[:4-len(word)] {
			s := ring
			at := 100 * sec
			s.Acts = []act{{At: (at + x) % scope.RefreshInterval, Do: "start x"}, {At: (at + 10*time.Millisecond) % scope.RefreshInterval, Do: "start y"}}
			for i, do := range word {
				s.Acts = append(s.Acts, act{At: at, Do: do})
				if i < len(gaps) {
					at += gaps[i]
				}
			}
			if !yield(s) {
				return false
			}
		}
		return true
	}
	for _, ring := range []script{{Ring: "rest"}, {Ring: "fresh"}, {Ring: "prepared", Age: 300 * sec}, {Ring: "promoted", Age: 300 * sec}} {
		for word := range words(2, moves("ABC")) {
			for _, gap := range paces {
				if !hand(ring, word, gap) {
					return
				}
			}
		}
	}
	for _, ring := range []script{{Ring: "fresh"}, {Ring: "prepared", Age: 300 * sec}} {
		for word := range words(3, moves("ABC")) {
			for _, gap := range []time.Duration{sec / 2, scope.RefreshInterval, scope.settle(), scope.PropagationDelay} {
				for _, gap2 := range []time.Duration{sec / 2, scope.PropagationDelay} {
					if !hand(ring, word, gap, gap2) {
						return
					}
				}
			}
		}
	}
}

// handsAndStarts: moves by hand, and an issuer that starts in between. The
// moves are as far apart as the assumptions want, and a key that may have
// tokens keeps an alias that has named it for a while.
func handsAndStarts(yield func(script) bool) {
	apart := scope.RefreshInterval + scope.Slack
	for _, ring := range []script{{Ring: "rest", Strict: true}, {Ring: "prepared", Age: 300 * sec, Strict: true}, {Ring: "promoted", Age: 300 * sec, Strict: true}} {
		for n := 2; n <= 3; n++ {
			for word := range words(n, moves("ABC")) {
				for _, gap := range []time.Duration{apart + sec, scope.PropagationDelay + sec} {
					if !allowed(ring, word, gap) {
						continue
					}
					for _, x := range []time.Duration{-time.Millisecond, 19900 * time.Millisecond} {
						for _, y := range []time.Duration{time.Millisecond, 15 * sec, gap + 2*time.Millisecond} {
							s := ring
							s.Late = []late{{"x", "jwt", tardy}, {"y", "prev", tardy}, {"y", "list", tardy}}
							s.Acts = []act{{At: (100*sec + x) % scope.RefreshInterval, Do: "start x"}}
							at := 100 * sec
							for _, do := range word {
								s.Acts = append(s.Acts, act{At: at, Do: do})
								at += gap
							}
							s.Acts = append(s.Acts, act{At: 100*sec + time.Duration(n-2)*gap + y, Do: "start y"})
							if !yield(s) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// allowed reports whether moves keep to what is assumed about hands while
// issuers start.
func allowed(ring script, word []string, gap time.Duration) bool {
	names := map[string]byte{"jwt": 'A', "next": 'A', "prev": 'A'}
	since := map[string]time.Duration{"jwt": -1e9 * sec, "next": -1e9 * sec, "prev": -1e9 * sec}
	alive := map[byte]bool{'A': true}
	switch ring.Ring {
	case "prepared":
		names["next"] = 'B'
	case "promoted":
		names["jwt"], names["next"] = 'B', 'B'
	}
	alive[names["next"]] = true
	now := time.Duration(0)
	for _, move := range word {
		fields := strings.Fields(move)
		alias := fields[1]
		for a, key := range names {
			alive[key] = alive[key] || now-since[a] >= scope.PropagationDelay-scope.Slack
		}
		before := names[alias]
		if fields[0] == "point" {
			names[alias] = fields[2][0]
		} else {
			delete(names, alias)
		}
		since[alias] = now
		if alive[before] && names[alias] != before {
			kept := false
			for a, key := range names {
				kept = kept || key == before && now-since[a] >= scope.PropagationDelay
			}
			if !kept {
				return false
			}
		}
		if names["jwt"] == 0 {
			return false
		}
		now += gap
	}
	return true
}

// keys: the key of each alias in turn cannot be read, cannot sign, is disabled,
// is to be deleted or is of another type, from before an issuer starts or from
// when it runs, until it is mended, or for good; an operator takes a step
// meanwhile or later. Whoever mends a key touches its aliases, or else nobody
// starts an issuer, or retires or revokes a key.
func keys(yield func(script) bool) {
	mend := map[string]string{"deny": "allow", "nosign": "allow", "disable": "enable", "dying": "enable"}
	for _, ring := range []script{
		{Ring: "rest"}, {Ring: "prepared", Age: 20 * sec}, {Ring: "prepared", Age: 300 * sec}, {Ring: "promoted", Age: 20 * sec},
		{Ring: "promoted", Age: 300 * sec}, {Ring: "rolled back", Age: 300 * sec}, {Ring: "retired", Age: 300 * sec},
	} {
		for _, key := range "AB" {
			for _, trouble := range []string{"deny", "nosign", "disable", "dying", "mac"} {
				for _, x := range []time.Duration{0, 45 * sec} {
					for _, mended := range []time.Duration{0, 71 * sec, 130 * sec, 250 * sec} {
						for _, touched := range []bool{false, true} {
							if mended != 0 && trouble == "mac" || touched && mended == 0 {
								continue
							}
							for _, step := range append([]string{""}, pairSteps...) {
								if mended != 0 && !touched && (step == "retire" || step == "advance" ||
									strings.HasPrefix(step, "revoke") && (ring.Ring == "promoted" || ring.Ring == "rolled back")) {
									continue
								}
								for _, after := range []time.Duration{31 * sec, 140 * sec, 256 * sec} {
									if step == "" && after != 31*sec {
										continue
									}
									s := ring
									s.Acts = []act{
										{At: x, Do: "start x"},
										{At: 2 * sec, Do: fmt.Sprintf("%s %c", trouble, key)},
										{At: 57 * sec, Do: "start y"},
									}
									if mended != 0 {
										s.Acts = append(s.Acts, act{At: mended, Do: fmt.Sprintf("%s %c", mend[trouble], key)})
									}
									if touched {
										s.Acts = append(s.Acts, act{At: mended, Do: fmt.Sprintf("touch %c", key)}, act{At: mended + 65*sec, Do: "start z"})
									}
									if step != "" {
										s.Acts = append(s.Acts, act{At: after, Do: step})
									}
									if !yield(s) {
										return
									}
								}
							}
						}
					}
				}
			}
		}
	}
}

// regionKills: in two Regions, a step is killed before or after any of its
// calls and taken again, while either Region is not available for a while, or
// not. The last steps find both Regions.
func regionKills(yield func(script) bool) {
	for i, ring := range moments {
		if i%2 == 1 { // those in between are like their neighbours
			continue
		}
		for _, step := range pairSteps {
			for _, away := range [][]dead{nil, {{0, 45 * sec, 48 * sec}}, {{0, 52 * sec, 110 * sec}}, {{1, 52 * sec, 110 * sec}}} {
				for call := 0; call <= 45; call++ {
					for _, after := range []int{1, -1} {
						for _, again := range []time.Duration{sec, scope.window() + sec} {
							if call == 0 && after < 0 || away != nil && again == sec {
								continue
							}
							s := ring
							s.Two, s.Dead = true, away
							s.Acts = []act{
								{At: 0, Do: "start x"},
								{At: 50 * sec, Do: step, Kill: after * call},
								{At: 50*sec + again/2, Do: "start y"},
								{At: 50*sec + again, Do: step},
								{At: 160 * sec, Do: step},
								{At: 211 * sec, Do: "advance"},
								{At: 262 * sec, Do: "advance"},
							}
							if !yield(s) {
								return
							}
						}
					}
				}
			}
		}
	}
}

// regionStories: whole rotations in two Regions, of which either is not
// available at any step. An issuer starts while it is not.
func regionStories(yield func(script) bool) {
	for _, story := range stories {
		acts, at := sequence(100*sec, story.steps...)
		for _, step := range at {
			for region := range regionNames {
				for _, from := range []time.Duration{-30 * sec, -sec / 4, 3 * time.Millisecond, 20 * time.Millisecond, sec} {
					for _, long := range []time.Duration{sec, 30 * sec, 400 * sec} {
						for _, y := range []time.Duration{-sec, 4 * time.Millisecond, 10 * sec, 100 * sec} {
							s := story.ring
							s.Two, s.Dead = true, []dead{{region, step + from, step + from + long}}
							s.Acts = append([]act{{At: (step + sec) % scope.RefreshInterval, Do: "start x"}}, acts...)
							s.Acts = append(s.Acts, act{At: step + y, Do: "start y"})
							last := max(at[len(at)-1], step+from+long)
							for n := range 3 {
								s.Acts = append(s.Acts, act{At: last + time.Duration(n+1)*51*sec, Do: "advance"})
							}
							if !yield(s) {
								return
							}
						}
					}
				}
			}
		}
	}
}
