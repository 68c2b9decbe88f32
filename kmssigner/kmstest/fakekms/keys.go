package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/pkcs8"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// keyFlag is the value of a -key. It has a spec or a file.
type keyFlag struct {
	text  string
	alias string
	spec  types.KeySpec
	file  string
	id    string // of a file, or empty
}

func parseKey(text string) (keyFlag, error) {
	k := keyFlag{text: text}
	source := text
	if alias, rest, ok := strings.Cut(text, "="); ok && !strings.Contains(alias, ",") {
		if !strings.HasPrefix(alias, "alias/") {
			return k, fmt.Errorf("alias %q, want one that begins with alias/", alias)
		}
		k.alias, source = alias, rest
	}
	source, id, hasID := strings.Cut(source, ",id=")
	k.id = id
	switch spec := types.KeySpec(source); {
	case source == "":
		return k, errors.New("want a key spec or a file")
	case slices.Contains(spec.Values(), spec):
		k.spec = spec
		if hasID {
			return k, errors.New("id= is for the key of a file, not for a new key")
		}
	default:
		k.file = source
		if _, err := os.Stat(source); err != nil {
			return k, fmt.Errorf("%q is not a file (%w) and not a key spec, which are %s", source, errors.Unwrap(err), spec.Values())
		}
	}
	return k, nil
}

// checkKeys checks what no single -key can know, and that the aliases can be
// made, so that a start that fails leaves no keys without them in the state.
func checkKeys(keys []keyFlag, state bool) error {
	scratch := kmstest.New()
	for _, k := range keys {
		if k.alias != "" {
			if err := makeAlias(context.Background(), scratch, k.alias, scratch.AddKey(types.KeySpecHmac256)); err != nil {
				return usagef("-key %s: %w", k.text, err)
			}
		} else if state && k.spec != "" {
			return usagef("-key %s: with -state, a new key needs an alias, or each start would make another", k.text)
		}
	}
	return nil
}

// makeKey makes or takes the key of a -key, unless the state of fake has it,
// and returns its description.
func makeKey(ctx context.Context, fake *kmstest.KMS, k keyFlag) (*types.KeyMetadata, error) {
	current, err := find(ctx, fake, k.alias)
	if err != nil {
		return nil, err
	}
	if k.file != "" {
		current, err = takeKey(ctx, fake, k, current)
	} else if current == nil {
		current, err = newKey(ctx, fake, k)
	}
	return current, err
}

// find returns the description of a key, or nil if there is none.
func find(ctx context.Context, fake *kmstest.KMS, id string) (*types.KeyMetadata, error) {
	if id == "" {
		return nil, nil
	}
	out, err := fake.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
	if _, none := errors.AsType[*types.NotFoundException](err); none {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out.KeyMetadata, nil
}

func newKey(ctx context.Context, fake *kmstest.KMS, k keyFlag) (*types.KeyMetadata, error) {
	out, err := fake.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: k.spec, KeyUsage: usage(k.spec)})
	if err != nil {
		return nil, err
	}
	return out.KeyMetadata, makeAlias(ctx, fake, k.alias, aws.ToString(out.KeyMetadata.KeyId))
}

// takeKey adds the key of a file. current is the key of the alias, or nil.
func takeKey(ctx context.Context, fake *kmstest.KMS, k keyFlag, current *types.KeyMetadata) (*types.KeyMetadata, error) {
	private, err := readKey(k.file)
	if err != nil {
		return nil, err
	}
	if current != nil {
		// The alias may have been moved since the given key was added. If the
		// given key was never added, the command line has another one than the
		// state.
		id := k.id
		if id == "" {
			// A KMS of its own derives the same ID.
			if id, err = kmstest.New().AddPrivateKey("", private); err != nil {
				return nil, err
			}
		}
		given, err := find(ctx, fake, id)
		if err != nil {
			return nil, err
		}
		if given == nil {
			return nil, fmt.Errorf("the state has %s for another key, %s; move or delete the state file, or leave this -key out", k.alias, aws.ToString(current.Arn))
		}
	}
	id, err := fake.AddPrivateKey(k.id, private)
	if err != nil {
		return nil, err
	}
	if current == nil {
		err = makeAlias(ctx, fake, k.alias, id)
	}
	if err != nil {
		return nil, err
	}
	return find(ctx, fake, id)
}

func makeAlias(ctx context.Context, fake *kmstest.KMS, alias, id string) error {
	if alias == "" {
		return nil
	}
	_, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &id})
	return err
}

// readKey reads a private key in PKCS #8, as PEM or DER, or an HMAC key.
func readKey(file string) (crypto.PrivateKey, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(content, []byte("-----BEGIN ")) {
		// PKCS #8 of an Ed25519 key has 48 bytes, as has a key of HMAC_384.
		if private, err := pkcs8.Parse(content); err == nil {
			return private, nil
		}
		if _, err := kmstest.New().AddPrivateKey("", content); err != nil {
			return nil, fmt.Errorf("%s has no private key in PKCS #8, and as an HMAC key: %w", file, err)
		}
		return content, nil
	}
	for {
		var block *pem.Block
		block, content = pem.Decode(content)
		switch {
		case block == nil:
			return nil, fmt.Errorf("%s has no PRIVATE KEY in PEM", file)
		case block.Type == "PRIVATE KEY":
			private, err := pkcs8.Parse(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			return private, nil
		case block.Type == "ENCRYPTED PRIVATE KEY":
			return nil, fmt.Errorf("%s is encrypted; decrypt it with: openssl pkcs8 -in %[1]s -out KEY.pem", file)
		case strings.HasSuffix(block.Type, " PRIVATE KEY"):
			return nil, fmt.Errorf("%s has an %s, want PKCS #8; convert it with: openssl pkcs8 -topk8 -nocrypt -in %[1]s -out KEY.pem", file, block.Type)
		}
	}
}

// usage is what a key of the spec is most likely wanted for.
func usage(spec types.KeySpec) types.KeyUsageType {
	switch {
	case strings.HasPrefix(string(spec), "HMAC_"):
		return types.KeyUsageTypeGenerateVerifyMac
	case strings.HasPrefix(string(spec), "ML_KEM_"):
		return types.KeyUsageTypeEncapsulateDecapsulate
	case spec == types.KeySpecSymmetricDefault:
		return types.KeyUsageTypeEncryptDecrypt
	}
	return types.KeyUsageTypeSignVerify
}
