package kmstest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Open returns a KMS that keeps its state in a file: the keys, with their
// private keys, and the aliases of all Regions of the account. If the file does
// not exist, Open creates it, and the KMS has no keys. The caller should call
// [KMS.Close] when finished.
//
// A call that changes the state is answered after the change is in the file.
// The file is replaced in one step, so a process that ends at any moment, also
// by SIGKILL, leaves the state before or after a change, and never loses one
// that was answered. If the file cannot be written, the call fails with
// KMSInternalException and changes nothing. The faults of [KMS.Inject] and the
// record of calls are not part of the state.
//
// The file has mode 0600. Beside it, Open creates a file with the suffix .lock
// and holds a lock on it until Close or until the process ends. Open returns an
// error if another process or another KMS has the lock, if the file was not
// written by Open or is damaged, if a newer version of this package wrote it,
// or if Options has another AccountID or Partition than the file. It does not
// change the file in these cases.
//
// Each change writes the whole file. Open is for the few keys of a development
// setup, not for thousands.
func Open(file string, optFns ...func(*Options)) (*KMS, error) {
	k := New(optFns...)
	f, body, err := openStateFile(file)
	if err != nil {
		return nil, fmt.Errorf("kmstest: %w", err)
	}
	if body == nil {
		err = k.saveTo(f)
	} else {
		err = k.restore(body)
	}
	if err != nil {
		f.close()
		return nil, fmt.Errorf("kmstest: state file %s: %w", file, err)
	}
	k.state = &state{file: f}
	return k, nil
}

// Close releases the state file of [Open]. The KMS must not be used afterwards:
// its calls fail. Close does nothing for a KMS of [New]. It applies to all
// Regions of the account.
func (k *KMS) Close() error {
	if k.state == nil {
		return nil
	}
	k.state.gate.Lock()
	defer k.state.gate.Unlock()
	return k.state.file.close()
}

// state is the part of an account that keeps its state in a file.
type state struct {
	// gate is locked while an operation changes the state and writes the file,
	// and read-locked by other operations, so that no answer shows a change
	// that is not in the file yet. It is locked before mu.
	gate sync.RWMutex
	file *stateFile
}

// durably runs an operation and, if it may have changed the state, saves the
// state before it returns.
func (k *KMS) durably(operation string, run func() (any, error)) (any, error) {
	s := k.state
	if s == nil {
		return run()
	}
	if onlyReads(operation) {
		s.gate.RLock()
		defer s.gate.RUnlock()
		if s.file.closed() {
			return nil, refuse("KMSInternalException", "kmstest: the state file is closed")
		}
		return run()
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.file.closed() {
		return nil, refuse("KMSInternalException", "kmstest: the state file is closed")
	}
	out, err := run()
	if saveErr := k.saveTo(s.file); saveErr != nil {
		if undoErr := k.restore(s.file.written); undoErr != nil {
			panic(fmt.Sprintf("kmstest: restore the state that was written last: %v", undoErr)) // a bug
		}
		return nil, refuse("KMSInternalException", "kmstest: the state file cannot be written: %v", saveErr)
	}
	return out, err
}

// onlyReads reports whether an operation never changes the state. It is false
// for an operation that is not known to.
func onlyReads(operation string) bool {
	switch operation {
	case "Sign", "Verify", "GenerateMac", "VerifyMac", "GetPublicKey", "DescribeKey",
		"GetKeyPolicy", "GetKeyRotationStatus", "GenerateRandom":
		return true
	}
	return strings.HasPrefix(operation, "List")
}

// The types below are the JSON of a state file. A member that is added or
// changes its meaning needs a new stateVersion once a release has written the
// old one.

type savedAccount struct {
	Account, Partition string
	Regions            map[string]savedRegion
}

type savedRegion struct {
	Keys    map[string]savedKey // by key ID
	Aliases map[string]savedAlias
}

type savedAlias struct {
	Target           string // key ID
	Created, Updated time.Time
}

// saveTo writes the state to f unless it is what f holds. Regions without keys
// have no state.
func (k *KMS) saveTo(f *stateFile) error {
	k.mu.Lock()
	saved := savedAccount{Account: k.opts.AccountID, Partition: k.opts.Partition, Regions: map[string]savedRegion{}}
	var err error
	for name, there := range k.regions {
		if len(there.keys) == 0 {
			continue
		}
		r := savedRegion{Keys: map[string]savedKey{}, Aliases: map[string]savedAlias{}}
		for id, key := range there.keys {
			if r.Keys[id], err = key.save(); err != nil {
				k.mu.Unlock()
				return fmt.Errorf("key %s: %w", key.arn, err)
			}
		}
		for name, a := range there.aliases {
			r.Aliases[name] = savedAlias{a.target, a.created, a.updated}
		}
		saved.Regions[name] = r
	}
	k.mu.Unlock()
	body, err := json.MarshalIndent(saved, "", "\t")
	if err != nil {
		return err
	}
	return f.write(body)
}

// restore replaces the state of all Regions by that in body.
func (k *KMS) restore(body []byte) error {
	var saved savedAccount
	if err := unmarshalStrictly(body, &saved); err != nil {
		return err
	}
	if saved.Account != k.opts.AccountID || saved.Partition != k.opts.Partition {
		return fmt.Errorf("it is of account %s in partition %s, want account %s in partition %s",
			saved.Account, saved.Partition, k.opts.AccountID, k.opts.Partition)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, aliases := map[string]map[string]*key{}, map[string]map[string]*alias{}
	l := loader{multi: map[string]*multiRegion{}, materials: map[string]material{}}
	for name, r := range saved.Regions {
		if err := k.checkRegion(name); err != nil {
			return err
		}
		keys[name], aliases[name] = map[string]*key{}, map[string]*alias{}
		for id, s := range r.Keys {
			loaded, err := l.load(id, s)
			if err != nil {
				return fmt.Errorf("key %s in %s: %w", id, name, err)
			}
			loaded.arn = k.region(name).arn("key/" + id)
			keys[name][id] = loaded
		}
		for aliasName, a := range r.Aliases {
			if keys[name][a.Target] == nil {
				return fmt.Errorf("%s in %s is an alias of %q, which is not a key", aliasName, name, a.Target)
			}
			aliases[name][aliasName] = &alias{a.Target, a.Created, a.Updated}
		}
	}
	for name, there := range k.regions {
		there.keys, there.aliases = keys[name], aliases[name]
		if there.keys == nil {
			there.keys, there.aliases = map[string]*key{}, map[string]*alias{}
		}
	}
	return nil
}

// keyStates has the states that a key of the fake can have.
var keyStates = []types.KeyState{
	types.KeyStateEnabled, types.KeyStateDisabled, types.KeyStatePendingDeletion,
	types.KeyStatePendingReplicaDeletion, types.KeyStatePendingImport,
}

func checkState(state types.KeyState) error {
	if !slices.Contains(keyStates, state) {
		return fmt.Errorf("unknown state %q", state)
	}
	return nil
}
