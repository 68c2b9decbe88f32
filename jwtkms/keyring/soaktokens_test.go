//go:build !race

package keyring_test

// soakTokens is how many tokens the soak asks for.
const soakTokens = 20_000
