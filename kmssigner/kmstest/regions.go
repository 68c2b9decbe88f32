package kmstest

import (
	"fmt"
	"regexp"
	"sync"
)

// account is what the fakes of one account in several Regions share.
type account struct {
	mu      sync.Mutex      // guards all state of all of them
	regions map[string]*KMS // by name
}

// Region returns the fake of k's account in another Region: the same one at each
// call, and k itself for k's own Region. It has the options of k apart from the
// Region. Keys, aliases, faults and recorded requests are its own; only keys that
// ReplicateKey makes have their id and material from elsewhere. For a Region on
// the wire, start a [Server] for it. Region panics if there is no such Region in
// k's partition.
func (k *KMS) Region(name string) *KMS {
	if err := k.checkRegion(name); err != nil {
		panic(fmt.Sprintf("kmstest: Region(%q): %v", name, err))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.region(name)
}

// region is Region for a name that is good. The caller holds k.mu.
func (k *KMS) region(name string) *KMS {
	if there, ok := k.regions[name]; ok {
		return there
	}
	o := k.opts
	o.Region = name
	return newKMS(o, k.account)
}

// The forms of the names of the Regions, as the SDK's endpoint rules have them.
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

// partitionOf names the partition of a Region; known is false, and the partition
// aws, if it is in none.
func partitionOf(region string) (partition string, known bool) {
	for _, p := range partitions {
		if p.region.MatchString(region) {
			return p.partition, true
		}
	}
	return "aws", false
}

// checkRegion demands a Region of k's partition. Its code and texts are the
// fake's choice: what KMS says is not known.
func (k *KMS) checkRegion(name string) error {
	there, known := partitionOf(name)
	here, _ := partitionOf(k.opts.Region)
	switch {
	case name == k.opts.Region:
		return nil
	case !known:
		return refuse("UnsupportedOperationException", "KMS is not available in Region %s", name)
	case there != here:
		return refuse("UnsupportedOperationException", "Region %s is in partition %s, not in %s", name, there, here)
	}
	return nil
}
