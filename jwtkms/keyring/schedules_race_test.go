//go:build race

package keyring_test

// schedules is how many seeds the simulation runs: the race detector makes each
// several times as slow.
const schedules = 100
