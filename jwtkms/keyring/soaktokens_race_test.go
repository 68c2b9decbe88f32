//go:build race

package keyring_test

// soakTokens is how many tokens the soak asks for: the race detector makes each several
// times as slow.
const soakTokens = 4_000
