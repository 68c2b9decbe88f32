//go:build race

package multiregion_test

// The race detector makes the explorer five times slower.
const exploredShare = 8
