//go:build race

package multiregion_test

// The race detector makes the explorer five times slower. The number is prime
// to that of the modes, so that none is left out.
const exploredShare = 7
