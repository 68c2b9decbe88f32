package kmstest

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func (k *KMS) listKeys(in *kms.ListKeysInput) (*kms.ListKeysOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids, next, err := page(slices.Sorted(maps.Keys(k.keys)), in.Limit, 100, 1000, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &kms.ListKeysOutput{Keys: []types.KeyListEntry{}, NextMarker: next, Truncated: next != nil}
	for _, id := range ids {
		out.Keys = append(out.Keys, types.KeyListEntry{KeyArn: aws.String(k.keys[id].arn), KeyId: aws.String(id)})
	}
	return out, nil
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// markerPrefix distinguishes the markers of the fake from other text.
const markerPrefix = "after "

// page returns a page of a sorted list of names. usual is the number of names
// on a page by default, and most the number that a page has at most. The
// service model permits limits up to 1000, and the documentation fewer for most
// operations. That KMS then answers with fewer, and not with an error, is not
// recorded. A marker holds the last name of the previous page, so that names
// that are added or deleted between two calls do not shift the pages.
func page(names []string, limit *int32, usual, most int32, marker *string) (cut []string, next *string, err error) {
	if marker != nil {
		b, err := base64.URLEncoding.DecodeString(*marker)
		last, ok := strings.CutPrefix(string(b), markerPrefix)
		if err != nil || !ok {
			return nil, nil, refuse("InvalidMarkerException", "Invalid marker")
		}
		i, found := slices.BinarySearch(names, last)
		if found {
			i++
		}
		names = names[i:]
	}
	n := usual
	if limit != nil {
		n = min(*limit, most)
	}
	if len(names) <= int(n) {
		return names, nil, nil
	}
	cut = names[:n]
	return cut, aws.String(base64.URLEncoding.EncodeToString([]byte(markerPrefix + cut[n-1]))), nil
}
