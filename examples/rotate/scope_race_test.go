//go:build race

package main

// killedAt are the operations at which a step in several Regions is killed. The
// race detector makes each kill several times as slow.
var killedAt = []string{"CreateAlias", "UpdateAlias"}
