//go:build !race

package keyring_test

const raced = false
