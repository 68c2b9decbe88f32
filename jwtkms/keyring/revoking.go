package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/answerlimit"
)

// revoke marks a key, replaces it if it signs, disables it, and points its
// aliases to the signing key. First it sees that there is a key to sign with.
func (t *rotation) revoke(ctx context.Context, id string) error {
	if err := revocable(id); err != nil {
		return err
	}
	out, err := t.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id}, answerlimit.Option)
	if err != nil {
		return err
	}
	key := out.KeyMetadata
	list, err := listAliases(ctx, t.client, aws.ToString(key.Arn))
	if err != nil {
		return err
	}
	if err := t.mayRevoke(key, t.owns(list)); err != nil {
		return err
	}
	signing := t.signing.arn()
	if signing == aws.ToString(key.Arn) {
		if signing, err = t.replacement(ctx); err != nil {
			return err
		}
	} else if err := t.takesOver(ctx); err != nil {
		return err
	}
	return t.takeOut(ctx, key, list.revoked, signing)
}

// revocable refuses what does not name one key for ever.
func revocable(id string) error {
	switch {
	case id == "":
		return errors.New("which key? The option Key is empty, want a key ID or a key ARN")
	case isAlias(id):
		return fmt.Errorf("the option Key is %q, want a key ID or a key ARN: an alias would name another key next time", id)
	}
	return nil
}

// owns reports whether an alias of the ring names a key: one of the three, the
// lock that Prepare made while the key signed, or the mark.
func (t *rotation) owns(list aliasList) bool {
	for name := range list.made {
		rest, ours := strings.CutPrefix(name, t.signing.name)
		if name == t.signing.name || name == t.next.name || name == t.previous.name ||
			ours && (strings.HasPrefix(rest, "-next-") || strings.HasPrefix(rest, "-revoked-")) {
			return true
		}
	}
	return false
}

// mayRevoke refuses a key that is likely somebody else's: a wrong ID would
// disable it.
func (t *rotation) mayRevoke(key *types.KeyMetadata, owned bool) error {
	if key.KeyUsage != types.KeyUsageTypeSignVerify {
		return fmt.Errorf("%s is a key for %s, want one for %s", aws.ToString(key.Arn), key.KeyUsage, types.KeyUsageTypeSignVerify)
	}
	if !owned && !t.opts.Force {
		return fmt.Errorf("%s is not a key of %s, because no alias of the ring names it: check the ID, or force the step", aws.ToString(key.Arn), t.signing.name)
	}
	return nil
}

// takesOver refuses to revoke another key while the signing key cannot sign.
func (t *rotation) takesOver(ctx context.Context) error {
	if t.opts.Force {
		return nil
	}
	if err := t.signs(ctx, t.signing); err != nil {
		return fmt.Errorf("the signing key cannot take over: %w", err)
	}
	return nil
}

// takeOut marks a key, disables it, and makes its aliases name signing.
func (t *rotation) takeOut(ctx context.Context, key *types.KeyMetadata, revoked bool, signing string) error {
	if !revoked {
		mark := t.signing.name + "-revoked-" + aws.ToString(key.KeyId)
		err := t.do("mark the key as revoked: create "+mark, func() error {
			_, err := t.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &mark, TargetKeyId: key.Arn}, answerlimit.Option)
			if _, exists := errors.AsType[*types.AlreadyExistsException](err); exists {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if signing != t.signing.arn() {
		if err := t.point(ctx, t.signing, signing); err != nil {
			return err
		}
	}
	if err := t.disable(ctx, key); err != nil {
		return err
	}
	for _, side := range []alias{t.next, t.previous} {
		if side.arn() == aws.ToString(key.Arn) {
			if err := t.point(ctx, side, signing); err != nil {
				return err
			}
		}
	}
	return nil
}

// replacement is the key to sign with in place of the signing key: one that
// verifiers have and that no Retire is about to disable, or else a new one.
func (t *rotation) replacement(ctx context.Context) (keyARN string, err error) {
	sides, err := t.substitutes(ctx)
	if err != nil {
		return "", err
	}
	for _, side := range sides {
		err := t.signs(ctx, side)
		if err == nil {
			return side.arn(), nil
		}
		if side.usable() && !refused(err) {
			return "", err
		}
	}
	if err := t.known(); err != nil {
		return "", err
	}
	keyARN, err = t.makeKey(ctx)
	if err != nil {
		return "", err
	}
	return keyARN, t.announceNext(ctx, keyARN)
}

// announceNext points the next alias to a new key, unless it has a use. The new
// key must be named before the old one is marked, or an issuer that refreshes
// in between would be left without a key.
func (t *rotation) announceNext(ctx context.Context, keyARN string) error {
	if t.next.key != nil && !t.next.is(t.signing) {
		return nil
	}
	err := t.point(ctx, t.next, keyARN)
	t.next.key = nil // it is where it belongs
	return err
}

// substitutes are the aliases of the keys that can sign in place of the signing
// key, the best first. A key that is about to be retired is retired first.
func (t *rotation) substitutes(ctx context.Context) ([]alias, error) {
	var sides []alias
	switch t.state() {
	case Prepared:
		sides = []alias{t.next}
	case Promoted, RolledBack, Mixed:
		err := t.signs(ctx, t.signing)
		if err != nil && t.signing.usable() && !refused(err) {
			return nil, err
		}
		// While the signing key cannot sign, no Retire is taken, and issuers
		// sign with the key that was replaced.
		if err != nil || t.undoable() {
			sides = []alias{*t.replaced(), t.next}
			break
		}
		// Otherwise issuers would begin to sign with that key while a Retire
		// disables it. So it is retired first.
		mixed := t.state() == Mixed
		if err := t.held(); err != nil {
			return nil, err
		}
		if err := t.retireReplaced(ctx); err != nil {
			return nil, err
		}
		if mixed {
			sides = []alias{t.next}
		}
	}
	return slices.DeleteFunc(sides, func(side alias) bool { return side.key == nil || side.is(t.signing) }), nil
}
