package kmstest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// open opens a state file until the test ends.
func open(t *testing.T, file string, optFns ...func(*Options)) *KMS {
	t.Helper()
	k, err := Open(file, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// reopen closes the file of k and returns another KMS with the file.
func reopen(t *testing.T, k *KMS) *KMS {
	t.Helper()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, k.state.file.name)
}

func stateOf(t *testing.T) string { return filepath.Join(t.TempDir(), "state") }

// TestState is what a state file is for: keys, their states, aliases and tags
// are the same after a restart.
func TestState(t *testing.T) {
	k := open(t, stateOf(t))
	f := fake{k, k, t}
	signing := k.AddKey(p256)
	f.alias("alias/jwt", signing)
	sig := f.mustSign(signInput("alias/jwt", []byte("m"), es256))
	if _, err := k.TagResource(t.Context(), &kms.TagResourceInput{KeyId: &signing, Tags: []types.Tag{{TagKey: aws.String("team"), TagValue: aws.String("a = b: é")}}}); err != nil {
		t.Fatal(err)
	}
	off, deleted, pending := k.AddKey("HMAC_256"), k.AddKey(rsa2048), f.imported(p384)
	f.disable(off)
	f.scheduleDeletion(deleted)
	multi := f.multiRegion(mldsa44, signVerify)
	if _, err := replicate(f, multi, "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	described := map[string]*types.KeyMetadata{}
	for _, id := range []string{signing, off, deleted, pending, multi} {
		described[id] = f.describe(id)
	}
	public, replica := f.publicKey("alias/jwt"), f.there("eu-west-1").describe(multi)

	k = reopen(t, k)
	f = fake{k, k, t}
	for id, want := range described {
		if got := f.describe(id); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if got := f.publicKey("alias/jwt"); !bytes.Equal(got.PublicKey, public.PublicKey) || *got.KeyId != *public.KeyId {
		t.Error("alias/jwt has another key")
	}
	if _, err := k.Verify(t.Context(), &kms.VerifyInput{KeyId: &signing, Message: []byte("m"), Signature: sig, SigningAlgorithm: es256}); err != nil {
		t.Error(err)
	}
	tags, err := k.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: &signing})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].TagValue != "a = b: é" {
		t.Errorf("%+v, %v", tags, err)
	}
	eu := f.there("eu-west-1")
	if got := eu.describe(multi); !reflect.DeepEqual(got, replica) {
		t.Errorf("replica: got  %+v\nwant %+v", got, replica)
	}
	// The primary key and the replica share their material, and what is shared
	// of a multi-Region key.
	in := signInput(multi, make([]byte, 64), shake)
	in.MessageType = mu
	sig = eu.mustSign(in)
	if _, err := k.Verify(t.Context(), &kms.VerifyInput{KeyId: &multi, Message: in.Message, MessageType: mu, Signature: sig, SigningAlgorithm: shake}); err != nil {
		t.Error(err)
	}
	if _, err := replicate(f, multi, "eu-north-1"); err != nil || len(eu.describe(multi).MultiRegionConfiguration.ReplicaKeys) != 2 {
		t.Errorf("%v, %+v", err, eu.describe(multi).MultiRegionConfiguration)
	}
}

// TestStateOfEverySpec checks that each key material comes back as it was.
func TestStateOfEverySpec(t *testing.T) {
	k := open(t, stateOf(t), inChina) // where SM2 is
	for spec := range specs {
		k.AddKey(spec)
	}
	before := k.keys
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	k = open(t, k.state.file.name, inChina)
	if len(k.keys) != len(specs) {
		t.Fatalf("%d keys, want %d", len(k.keys), len(specs))
	}
	for id, was := range before {
		is := k.keys[id]
		if is == nil || reflect.TypeOf(is.material) != reflect.TypeOf(was.material) ||
			!sameMaterial(is.material, was.material) || !bytes.Equal(is.material.publicKey(), was.material.publicKey()) {
			t.Errorf("%s: another material", was.keySpec)
		}
	}
}

// TestStateHasEveryField fails for a field of a key that nobody saves. Add it
// to savedKey, save and load, and to this list.
func TestStateHasEveryField(t *testing.T) {
	for fields, saved := range map[reflect.Type]string{
		reflect.TypeFor[key]():         "id arn keySpec spec usage material created details multi origin tags state deletion window",
		reflect.TypeFor[alias]():       "target created updated",
		reflect.TypeFor[multiRegion](): "primary replicas",
	} {
		for i := range fields.NumField() {
			if !strings.Contains(" "+saved+" ", " "+fields.Field(i).Name+" ") {
				t.Errorf("%v.%s is not in the state file", fields, fields.Field(i).Name)
			}
		}
	}
}

// TestStateDamaged changes each byte of a state file, and cuts it at each byte.
// Open refuses each, and leaves the file as it is.
func TestStateDamaged(t *testing.T) {
	k := open(t, stateOf(t))
	f := fake{k, k, t}
	f.alias("alias/jwt", k.AddKey(ed))
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	file := k.state.file.name
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(content []byte, what string) {
		t.Helper()
		if _, err := bodyOf(content); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	for i := range good {
		for _, flip := range []byte{1, ' ', 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			refused(bad, fmt.Sprintf("byte %d changed by %x", i, flip))
		}
		refused(good[:i], fmt.Sprintf("cut at %d", i))
	}
	refused(append(bytes.Clone(good), '\n'), "a line more")

	_, body, _ := bytes.Cut(good, []byte("\n"))
	sealed := func(old, new string) []byte {
		t.Helper()
		changed := bytes.Replace(body, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, body) {
			t.Errorf("no %s in the state", old)
		}
		return append(headerOf(changed), changed...)
	}
	for _, tt := range []struct {
		content []byte
		want    string
	}{
		{nil, "it is not a state file of kmstest, or it is damaged"},
		{[]byte("-----BEGIN PRIVATE KEY-----\n"), "it is not a state file"},
		{[]byte(`{"Format":"kmstest state","Version":2,"SHA256":""}` + "\n"), "it has version 2 of the format, and this program knows versions up to 1"},
		{[]byte(`{"Format":"kmstest state","Version":99,"New":{}}` + "\nwhatever"), "it has version 99"},
		{good[:len(good)-1], "it is damaged or was edited"},
		{sealed(`"Spec"`, `"Colour": "red", "Spec"`), `unknown field "Colour"`},
		{sealed(`"ECC_NIST_EDWARDS25519"`, `"ECC_NIST_P256"`), "the key material is of an ECC_NIST_EDWARDS25519 key, want ECC_NIST_P256"},
		{sealed(`"ECC_NIST_EDWARDS25519"`, `"HMAC_256"`), `unknown spec "HMAC_256" or usage "SIGN_VERIFY"`},
		{sealed(`"State": "Enabled"`, `"State": "Sleepy"`), `unknown state "Sleepy"`},
		{sealed(`"Private": "`, `"Private": "AAAA`), "key "},
		{sealed(`"Target": "`, `"Target": "x`), "which is not a key"},
		{sealed(`"us-east-1"`, `"moon"`), "KMS is not available in Region moon"},
		{append(headerOf(append(bytes.Clone(body), "{}"...)), append(bytes.Clone(body), "{}"...)...), "data after the end"},
	} {
		if err := os.WriteFile(file, tt.content, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(file)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%v, want the file and %q", err, tt.want)
		}
		if content, err := os.ReadFile(file); err != nil || !bytes.Equal(content, tt.content) {
			t.Errorf("%s: the file has changed, %v", tt.want, err)
		}
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(file, func(o *Options) { o.AccountID = "444455556666" })
	if err == nil || !strings.Contains(err.Error(), "it is of account 111122223333 in partition aws, want account 444455556666") {
		t.Error(err)
	}
	open(t, file) // no lock is left
}

// TestStateLock opens a file twice.
func TestStateLock(t *testing.T) {
	k := open(t, stateOf(t))
	file := k.state.file.name
	if _, err := Open(file); !errors.Is(err, errLocked) {
		t.Errorf("second Open: %v", err)
	}
	link := file + "-link"
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link); !errors.Is(err, errLocked) {
		t.Errorf("Open of a link: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	reopen(t, k)
	for _, call := range []func() error{
		func() error { _, err := k.AddPrivateKey("", make([]byte, 32)); return err },
		func() error { _, err := k.ListKeys(t.Context(), nil); return err },
		func() error { _, err := k.CreateKey(t.Context(), nil); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "KMSInternalException") {
			t.Errorf("after Close: %v", err)
		}
	}
	if err := k.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := New().Close(); err != nil {
		t.Error(err)
	}
}

// TestStateLink replaces the target of a symbolic link, not the link.
func TestStateLink(t *testing.T) {
	file := stateOf(t)
	open(t, file).Close()
	link := file + "-link"
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	k := open(t, link)
	id := k.AddKey(p256)
	k.Close()
	k = open(t, file)
	(fake{k, k, t}).describe(id)
}

// TestStateUnwritable makes writing fail. The call fails and changes nothing,
// and later calls work.
func TestStateUnwritable(t *testing.T) {
	k := open(t, stateOf(t))
	f := fake{k, k, t}
	id := k.AddKey(p256)
	f.alias("alias/jwt", id)
	// A directory that is not empty is in the way of the new file.
	obstacle := k.state.file.name + ".new"
	if err := os.MkdirAll(filepath.Join(obstacle, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	refused := func(err error) {
		t.Helper()
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "KMSInternalException" || !strings.Contains(e.ErrorMessage(), "the state file cannot be written: ") {
			t.Errorf("%v", err)
		}
	}
	_, err := k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &id})
	refused(err)
	_, err = k.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: p256, KeyUsage: signVerify})
	refused(err)
	_, err = k.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/jwt")})
	refused(err)
	// Calls that change nothing need no file.
	f.mustSign(signInput("alias/jwt", []byte("m"), es256))
	if _, err := k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id}); err != nil {
		t.Error(err)
	}
	if list, err := k.ListKeys(t.Context(), nil); err != nil || len(list.Keys) != 1 || !f.describe(id).Enabled {
		t.Errorf("%+v, %v", list, err)
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	f.disable(id)
	k = reopen(t, k)
	if (fake{k, k, t}).describe(id).Enabled {
		t.Error("the change is lost")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "state")); err == nil {
		t.Error("Open in a directory that does not exist")
	}
}

// TestStateUnsynced makes the last step of a write fail, after which the file
// may have either state. The next call writes the state that it answers with,
// even if that is the one before.
func TestStateUnsynced(t *testing.T) {
	k := open(t, stateOf(t))
	f := fake{k, k, t}
	id := k.AddKey(p256)
	k.state.file.syncDir = func(string) error { return errors.New("no sync") }
	if _, err := k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &id}); err == nil || !strings.Contains(err.Error(), "no sync") || !f.describe(id).Enabled {
		t.Errorf("%v", err)
	}
	k.state.file.syncDir = syncDir
	if _, err := k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id}); err != nil {
		t.Fatal(err)
	}
	k = reopen(t, k)
	if !(fake{k, k, t}).describe(id).Enabled {
		t.Error("a change that failed came back, over one that was answered")
	}
}

// TestStateUnchanged checks that calls that change nothing do not write.
func TestStateUnchanged(t *testing.T) {
	k := open(t, stateOf(t))
	id := k.AddKey(p256)
	before, err := os.Stat(k.state.file.name)
	if err != nil {
		t.Fatal(err)
	}
	f := fake{k, k, t}
	f.mustSign(signInput(id, []byte("m"), es256))
	k.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id})
	k.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String("none")})
	if after, err := os.Stat(k.state.file.name); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced, %v", err)
	}
}

// TestStateInterrupted has what a process that was killed while it wrote can
// leave: a part of the new file beside the old one.
func TestStateInterrupted(t *testing.T) {
	k := open(t, stateOf(t))
	id := k.AddKey(p256)
	content, err := os.ReadFile(k.state.file.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, len(content) / 2, len(content)} {
		if err := os.WriteFile(k.state.file.name+".new", content[:n], 0o400); err != nil {
			t.Fatal(err)
		}
		k = reopen(t, k)
		f := fake{k, k, t}
		f.describe(id)
		f.scheduleDeletion(k.AddKey(p256))
	}
	if len(k.keys) != 5 {
		t.Errorf("%d keys", len(k.keys))
	}
}

// TestStateKeysDiffer checks that an RSA key that is made is never one that was
// loaded, although both come from a short table.
func TestStateKeysDiffer(t *testing.T) {
	key, err := testRSAKey(2048)
	if err != nil {
		t.Fatal(err)
	}
	saved := rsaPairs.used[2048]
	rsaPairs.used[2048]-- // as a new process that starts at the same pair
	takeRSAModulus(key.N)
	again, err := testRSAKey(2048)
	if err != nil || again.N.Cmp(key.N) == 0 || rsaPairs.used[2048] != saved+1 {
		t.Errorf("the same key again, %v", err)
	}
}
