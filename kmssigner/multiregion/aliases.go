package multiregion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// maxPages is the number of pages after which a Region is not asked for more.
// KMS allows 50 aliases for a key, which is its default page.
const maxPages = 100

var listingAliases = operation[kms.ListAliasesOutput]{
	name: "ListAliases",
	missing: func(out *kms.ListAliasesOutput) string {
		switch {
		case out.Aliases == nil:
			return "Aliases"
		case out.Truncated && aws.ToString(out.NextMarker) == "":
			return "NextMarker"
		}
		return ""
	},
}

// ListAliases returns the aliases of one key in all Regions. The
// LastUpdatedDate of an alias is the time from which it has named the key in
// every Region. It is what a keyring.Ring needs.
//
// in.KeyId must be the ID or the ARN of the key. ListAliases asks every Region
// that is not passed over, all at the same time, and follows the pages of each
// to the end, so the answer is never truncated and in.Marker must be empty. It
// makes one call for each page of each Region; in.Limit is the size of these
// pages.
//
// An alias is in the answer if any Region has it. Its dates are the latest of
// the Regions that answered. If one of these does not have the alias, or has it
// for another key, the alias does not name the key everywhere yet, and its
// LastUpdatedDate is the time of the answer. Its ARN has the Region of the
// caller's ARN, or the first Region if the caller gave no ARN.
//
// A Region that is not available, or that answers for another key, is left out.
// If that Region has a later date for an alias, the answer does not show it. A
// Region without a replica of the key has no aliases for it. ListAliases fails
// if no Region is available, if no Region has the key, and with the refusal if
// any Region refuses for another reason.
func (c *Client) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	own := valueOf(in)
	req, err := prepare(c, listingAliases, own.KeyId)
	if err != nil {
		return nil, err
	}
	switch {
	case req.key.id == "":
		return nil, fmt.Errorf("multiregion: %s with %q: want a key ID or a key ARN", req.name, req.key.asked)
	case aws.ToString(own.Marker) != "":
		return nil, fmt.Errorf("multiregion: %s with %q: want no marker, because answers are never truncated", req.name, req.key.asked)
	}
	optFns = slices.Clip(optFns)
	// A Region without a replica of the key has no aliases for it. Its answer
	// must not hide those of the others, of which one may revoke the key.
	var mu sync.Mutex
	var absent joined
	req.send = func(ctx context.Context, r *region, keyID *string) (*kms.ListAliasesOutput, error) {
		in := own
		in.KeyId = keyID
		out, err := r.listAliases(ctx, req, &in, optFns)
		if _, none := errors.AsType[*types.NotFoundException](err); none {
			mu.Lock()
			defer mu.Unlock()
			absent = append(absent, &regionError{r.Name, err})
			return &kms.ListAliasesOutput{Aliases: []types.AliasListEntry{}}, nil
		}
		return out, err
	}
	answers, err := everywhere(ctx, c, req)
	if err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	if len(absent) == len(answers) {
		return nil, fmt.Errorf("multiregion: %s: %w", req.name, absent)
	}
	return combine(answers), nil
}

// listAliases reads all pages of one Region into one answer.
func (r *region) listAliases(ctx context.Context, req *request[kms.ListAliasesOutput], in *kms.ListAliasesInput,
	optFns []func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	client, ok := r.Client.(interface {
		ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
	})
	if !ok {
		return nil, fmt.Errorf("the client is a %T, which has no ListAliases", r.Client)
	}
	all := &kms.ListAliasesOutput{Aliases: []types.AliasListEntry{}}
	for range maxPages {
		page, err := client.ListAliases(ctx, in, optFns...)
		if err == nil {
			page, err = req.read(r, page)
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range page.Aliases {
			if err := req.key.homeAlias(r, &entry); err != nil {
				return nil, err
			}
			all.Aliases = append(all.Aliases, entry)
		}
		if !page.Truncated {
			all.ResultMetadata = page.ResultMetadata
			return all, nil
		}
		in.Marker = page.NextMarker
	}
	return nil, &malformedError{nil, fmt.Sprintf("there is no end after %d pages", maxPages)}
}

// homeAlias checks that an alias in an answer of r names the key, and changes
// its ARN to the one that the caller knows.
func (k keyName) homeAlias(r *region, entry *types.AliasListEntry) error {
	name := aws.ToString(entry.AliasName)
	if name == "" {
		return &malformedError{nil, "the answer has an alias without AliasName"}
	}
	if target := aws.ToString(entry.TargetKeyId); target != "" && target != k.id {
		return changed(target)
	}
	if entry.AliasArn == nil {
		return nil
	}
	there, err := arn.Parse(*entry.AliasArn)
	if err != nil || there.Resource != name || !k.isIn(r, there) {
		return changed(*entry.AliasArn)
	}
	there.Region = k.region
	entry.AliasArn = aws.String(there.String())
	return nil
}

// combine makes one answer of those of the Regions, the preferred one first.
func combine(answers []answer[kms.ListAliasesOutput]) *kms.ListAliasesOutput {
	all := *answers[0].out
	all.Aliases = []types.AliasListEntry{}
	index := map[string]int{}  // of an alias in all.Aliases
	having := map[string]int{} // how many Regions have an alias
	for _, a := range answers {
		for _, entry := range a.out.Aliases {
			name := *entry.AliasName
			having[name]++
			i, ok := index[name]
			if !ok {
				index[name] = len(all.Aliases)
				all.Aliases = append(all.Aliases, entry)
				continue
			}
			all.Aliases[i].CreationDate = later(all.Aliases[i].CreationDate, entry.CreationDate)
			all.Aliases[i].LastUpdatedDate = later(all.Aliases[i].LastUpdatedDate, entry.LastUpdatedDate)
		}
	}
	now := answeredAt(answers)
	for i, entry := range all.Aliases {
		if having[*entry.AliasName] < len(answers) {
			all.Aliases[i].LastUpdatedDate = later(entry.LastUpdatedDate, &now)
		}
	}
	return &all
}

// later returns the later of two dates, of which either may be nil.
func later(x, y *time.Time) *time.Time {
	if x == nil || y != nil && y.After(*x) {
		return y
	}
	return x
}

// answeredAt returns the latest time at which KMS answered, by KMS's clock. It
// is the local time if no answer tells.
func answeredAt(answers []answer[kms.ListAliasesOutput]) time.Time {
	var latest time.Time
	for _, a := range answers {
		if date, ok := awsmiddleware.GetServerTime(a.out.ResultMetadata); ok && date.After(latest) {
			latest = date
		}
	}
	if latest.IsZero() {
		return time.Now()
	}
	return latest
}
