//go:build !race

package multiregion_test

// The explorer runs one of so many cases.
const exploredShare = 1
