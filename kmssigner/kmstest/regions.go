package kmstest

import (
	"fmt"
	"regexp"
	"sync"
)

// account is the state that the fakes of an account share.
type account struct {
	mu      sync.Mutex      // guards regions and the state of every KMS in it
	regions map[string]*KMS // by name of the Region
	state   *state          // nil without a state file
}

// Region returns the fake for the same account as k in the Region with the
// given name. It returns the same KMS at each call, and k itself for the Region
// of k. The KMS has the options of k, except for the Region, and keys, aliases,
// faults and recorded requests of its own. Only keys made by ReplicateKey share
// their ID and material with a key of another Region. A [Server] of any of them
// serves all. Region panics if the partition of k has no such Region.
func (k *KMS) Region(name string) *KMS {
	if err := k.checkRegion(name); err != nil {
		panic(fmt.Sprintf("kmstest: Region(%q): %v", name, err))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.region(name)
}

// maxServedRegions is the number of Regions of an account after which requests
// make no new ones. It bounds the memory that made-up names take. AWS has fewer
// Regions.
const maxServedRegions = 100

// served returns name if requests may be for that Region, and otherwise the
// name of the Region of k.
func (k *KMS) served(name string) string {
	if k.checkRegion(name) != nil {
		return k.opts.Region
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, made := k.regions[name]; !made && len(k.regions) >= maxServedRegions {
		return k.opts.Region
	}
	return name
}

// region is Region for a valid name. The caller must hold k.mu.
func (k *KMS) region(name string) *KMS {
	if there, ok := k.regions[name]; ok {
		return there
	}
	o := k.opts
	o.Region = name
	return newKMS(o, k.account)
}

// partitions has the forms of the names of Regions, as in the endpoint rules of
// the SDK.
var partitions = []struct {
	partition string
	region    *regexp.Regexp
}{
	{"aws-cn", regexp.MustCompile(`^cn-\w+-\d+$`)},
	{"aws-us-gov", regexp.MustCompile(`^us-gov-\w+-\d+$`)},
	{"aws-eusc", regexp.MustCompile(`^eusc-\w+-\w+-\d+$`)},
	{"aws-iso", regexp.MustCompile(`^us-iso-\w+-\d+$`)},
	{"aws-iso-b", regexp.MustCompile(`^us-isob-\w+-\d+$`)},
	{"aws-iso-e", regexp.MustCompile(`^eu-isoe-\w+-\d+$`)},
	{"aws-iso-f", regexp.MustCompile(`^us-isof-\w+-\d+$`)},
	{"aws", regexp.MustCompile(`^(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$`)},
}

// partitionOf returns the partition of a Region. If it is in none, known is
// false and the partition is aws.
func partitionOf(region string) (partition string, known bool) {
	for _, p := range partitions {
		if p.region.MatchString(region) {
			return p.partition, true
		}
	}
	return "aws", false
}

// checkRegion returns an error unless name is a Region in the partition of k.
func (k *KMS) checkRegion(name string) error {
	there, known := partitionOf(name)
	here, _ := partitionOf(k.opts.Region)
	switch {
	case name == k.opts.Region:
		return nil
	case !known:
		return unrecorded("UnsupportedOperationException", "KMS is not available in Region %s", name)
	case there != here:
		return unrecorded("UnsupportedOperationException", "Region %s is in partition %s, not in %s", name, there, here)
	}
	return nil
}
