// Package plugins shows where a key in AWS KMS plugs in: recipes for software
// that takes a crypto.Signer, or that takes a little glue, each in a test file
// of its own to copy from. The recipes here need the standard library,
// golang.org/x/crypto, go-jose and jwx. Those of package thirdparty, which is a
// module of its own, need more.
//
// docs/plugins.md lists all of them. Its tables are checked against what the
// recipes do with each type of key. After a change,
//
//	go test -run TestRecipes . -update
//
// writes them.
package plugins
