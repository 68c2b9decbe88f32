//go:build !race

package keyring_test

// schedules is how many seeds the simulation runs.
const schedules = 1000
