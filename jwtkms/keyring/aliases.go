package keyring

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// The aliases of a ring are its only state. Beside the three that are moved there
// are two kinds that are made once and never moved:
//
//	alias/jwt-next-<id of the signing key>     made by Prepare before it makes a key
//	alias/jwt-revoked-<id of the revoked key>  made by Revoke
//
// CreateAlias is the only operation of KMS that does something only if it has not
// been done: so the first keeps several Prepares from making several keys. The
// second names the key that it revokes, so whoever lists the aliases of the key
// sees it.

// lister is the part of the KMS API that finds the aliases of a key.
type lister interface {
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
}

// aliasList is what ListAliases tells about one key.
type aliasList struct {
	ages    map[string]time.Duration // by name and by ARN: since the alias was moved to the key
	dates   map[string]time.Time     // the same: when it was moved, on KMS's clock
	made    map[string]time.Time     // by name: when the alias was made
	revoked bool
}

// age is how long the alias has named the key, or zero if it does not.
func (l aliasList) age(nameOrARN string) time.Duration { return l.ages[nameOrARN] }

// listAliases finds the aliases of a key, given by its ARN or ID. It makes one
// ListAliases call, and more if there are many aliases.
func listAliases(ctx context.Context, client lister, keyARN string) (aliasList, error) {
	list := aliasList{ages: map[string]time.Duration{}, dates: map[string]time.Time{}, made: map[string]time.Time{}}
	mark := "-revoked-" + keyID(keyARN)
	in := &kms.ListAliasesInput{KeyId: &keyARN}
	for {
		out, err := client.ListAliases(ctx, in)
		if err != nil {
			return list, err
		}
		// KMS's clock, because this machine's may be wrong.
		now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
		if !ok {
			now = time.Now()
		}
		for _, a := range out.Aliases {
			name := aws.ToString(a.AliasName)
			if strings.HasSuffix(name, mark) {
				list.revoked = true
			}
			if a.LastUpdatedDate != nil {
				age := max(0, now.Sub(*a.LastUpdatedDate))
				list.ages[name], list.ages[aws.ToString(a.AliasArn)] = age, age
				list.dates[name], list.dates[aws.ToString(a.AliasArn)] = *a.LastUpdatedDate, *a.LastUpdatedDate
				list.made[name] = aws.ToTime(a.CreationDate)
			}
		}
		if !out.Truncated {
			return list, nil
		}
		in.Marker = out.NextMarker
	}
}

// keyID is the ID in a key ARN, or the ID itself.
func keyID(keyARN string) string {
	if _, id, ok := strings.Cut(keyARN, ":key/"); ok {
		return id
	}
	return keyARN
}
