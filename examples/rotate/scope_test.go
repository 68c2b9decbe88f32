//go:build !race

package main

// killedAt are the operations at which a step in several Regions is killed: all
// that change something.
var killedAt = []string{"CreateKey", "ReplicateKey", "CreateAlias", "UpdateAlias", "DisableKey"}
