package kmstest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/pkcs8"
)

// A part of a key that is to survive a restart is a member of savedKey, a line
// in save and a line in load. A test fails for a field of key that has none.

// savedKey is a key in a state file.
type savedKey struct {
	Spec        types.KeySpec
	Usage       types.KeyUsageType
	Origin      types.OriginType
	State       types.KeyState
	Created     time.Time
	Tags        map[string]string `json:",omitempty"`
	Deletion    time.Time         `json:",omitzero"`
	Window      int32             `json:",omitempty"`
	MultiRegion *savedMultiRegion `json:",omitempty"`
	Details     details
	Material    savedMaterial
}

// savedMultiRegion is the same for the primary key and all replicas.
type savedMultiRegion struct {
	Primary  string
	Replicas []string `json:",omitempty"`
}

// savedMaterial is key material. All members are empty if the key has none.
type savedMaterial struct {
	Private []byte `json:",omitempty"` // PKCS #8
	Secret  []byte `json:",omitempty"` // of an HMAC key
	Public  []byte `json:",omitempty"` // of a key that the fake cannot use
}

func (key *key) save() (savedKey, error) {
	m, err := saveMaterial(key.material)
	s := savedKey{
		Spec:     key.keySpec,
		Usage:    key.usage,
		Origin:   key.origin,
		State:    key.state,
		Created:  key.created,
		Details:  key.details,
		Tags:     key.tags,
		Deletion: key.deletion,
		Window:   key.window,
		Material: m,
	}
	if key.multi != nil {
		s.MultiRegion = &savedMultiRegion{key.multi.primary, slices.Clone(key.multi.replicas)}
	}
	return s, err
}

// loader loads keys. Keys of several Regions with one ID share what the primary
// key and its replicas share in memory.
type loader struct {
	multi     map[string]*multiRegion
	materials map[string]material // by ID and encoding
}

// load returns the key with an ID, except for its ARN.
func (l loader) load(id string, s savedKey) (*key, error) {
	if _, ok := specs[s.Spec]; !ok || !slices.Contains(specs[s.Spec].usages, s.Usage) {
		return nil, fmt.Errorf("unknown spec %q or usage %q", s.Spec, s.Usage)
	}
	if err := checkState(s.State); err != nil {
		return nil, err
	}
	m, err := l.loadMaterial(id, s)
	if err != nil {
		return nil, err
	}
	loaded := &key{
		id:       id,
		keySpec:  s.Spec,
		spec:     specs[s.Spec],
		usage:    s.Usage,
		origin:   s.Origin,
		state:    s.State,
		created:  s.Created,
		details:  s.Details,
		tags:     s.Tags,
		deletion: s.Deletion,
		window:   s.Window,
		material: m,
	}
	if loaded.tags == nil {
		loaded.tags = map[string]string{}
	}
	if s.MultiRegion != nil {
		if l.multi[id] == nil {
			l.multi[id] = &multiRegion{s.MultiRegion.Primary, s.MultiRegion.Replicas}
		}
		loaded.multi = l.multi[id]
		if loaded.multi.primary != s.MultiRegion.Primary || !slices.Equal(loaded.multi.replicas, s.MultiRegion.Replicas) {
			return nil, errors.New("its Regions disagree about the primary key and the replicas")
		}
	}
	return loaded, nil
}

// saveMaterial encodes key material.
func saveMaterial(m material) (savedMaterial, error) {
	var s savedMaterial
	var err error
	switch m := m.(type) {
	case rsaKey:
		s.Private, err = pkcs8.Marshal(m.private)
	case ecdsaKey:
		s.Private, err = pkcs8.Marshal(m.private)
	case secp256k1Key:
		s.Private, err = pkcs8.Marshal(m.private.ToECDSA())
	case ed25519Key:
		s.Private, err = pkcs8.Marshal(m.private)
	case *mldsaKey:
		s.Private, err = pkcs8.Marshal(m.private)
	case hmacKey:
		s.Secret = m.secret
	case publicOnly:
		s.Public = m
	default:
		err = fmt.Errorf("kmstest: cannot save key material of type %T", m)
	}
	return s, err
}

func (l loader) loadMaterial(id string, s savedKey) (material, error) {
	name := id + string(bytes.Join([][]byte{s.Material.Private, s.Material.Secret, s.Material.Public}, nil))
	if m, ok := l.materials[name]; ok {
		return m, nil
	}
	var m material
	switch {
	case s.Material.Private != nil:
		private, err := pkcs8.Parse(s.Material.Private)
		if err != nil {
			return nil, err
		}
		spec, made, err := newMaterial(private)
		if err != nil {
			return nil, err
		}
		if spec != s.Spec {
			return nil, fmt.Errorf("the key material is of an %s key, want %s", spec, s.Spec)
		}
		if made, ok := made.(rsaKey); ok {
			takeRSAModulus(made.private.N)
		}
		m = made
	case s.Material.Secret != nil:
		hash, ok := hmacHashes[s.Spec]
		if !ok {
			return nil, fmt.Errorf("the key material is of an HMAC key, want %s", s.Spec)
		}
		m = hmacKey{hash: hash, secret: s.Material.Secret}
	default:
		m = publicOnly(s.Material.Public)
	}
	l.materials[name] = m
	return m, nil
}
