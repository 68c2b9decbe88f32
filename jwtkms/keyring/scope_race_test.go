//go:build race

package keyring

// smallScope is about how many schedules of each family run: the race detector
// makes each several times as slow.
const smallScope = 15
