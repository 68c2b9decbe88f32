// Package thirdparty holds the recipes of docs/plugins.md for other people's
// modules. It is a module of its own, so that what they require stays out of the
// examples and of the library.
package thirdparty
