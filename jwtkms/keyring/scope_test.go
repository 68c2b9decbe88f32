//go:build !race

package keyring

// smallScope is about how many schedules of each family run without
// KMSSIGN_FULL=1.
const smallScope = 200
