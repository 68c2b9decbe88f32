package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/answerlimit"
)

// revoke marks a key, replaces it if it signs, disables it, and points its
// aliases to the signing key. First it sees that there is a key to sign with.
func (t *rotation) revoke(ctx context.Context, id string) error {
	switch {
	case id == "":
		return errors.New("which key? The option Key is empty, want a key ID or a key ARN")
	case isAlias(id):
		return fmt.Errorf("the option Key is %q, want a key ID or a key ARN: an alias would name another key next time", id)
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
	signing := t.signing.arn()
	if signing == aws.ToString(key.Arn) {
		if signing, err = t.replacement(ctx); err != nil {
			return err
		}
	} else if !t.opts.Force {
		if err := t.signs(ctx, t.signing); err != nil {
			return fmt.Errorf("the signing key cannot take over: %w", err)
		}
	}
	if !list.revoked {
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
	var sides []alias
	switch t.state() {
	case Prepared:
		sides = []alias{t.next}
	case Promoted, RolledBack, Mixed:
		err := t.signs(ctx, t.signing)
		if err != nil && t.signing.usable() && !refused(err) {
			return "", err
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
			return "", err
		}
		if err := t.retireReplaced(ctx); err != nil {
			return "", err
		}
		if mixed {
			sides = []alias{t.next}
		}
	}
	for _, side := range sides {
		if side.key == nil || side.is(t.signing) {
			continue
		}
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
	if err != nil || t.next.key != nil && !t.next.is(t.signing) {
		return keyARN, err
	}
	// Named before the old one is marked, or an issuer that refreshes in
	// between would be left without a key.
	err = t.point(ctx, t.next, keyARN)
	t.next.key = nil // it is where it belongs
	return keyARN, err
}
