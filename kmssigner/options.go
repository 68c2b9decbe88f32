package kmssigner

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
)

// signOptions is what a crypto.SignerOpts asks for.
type signOptions struct {
	none       bool        // the crypto.SignerOpts is nil
	hash       crypto.Hash // 0 means that the message itself is signed
	pss        bool        // RSASSA-PSS
	saltLength int         // of RSASSA-PSS, as in rsa.PSSOptions
	context    string      // of ML-DSA
}

// readOptions returns what opts asks for. It returns an error for options that
// no KMS key can satisfy.
func readOptions(opts crypto.SignerOpts) (signOptions, error) {
	var o signOptions
	switch opts := opts.(type) {
	case nil:
		return signOptions{none: true}, nil
	case *rsa.PSSOptions:
		if opts == nil {
			return o, errors.New("opts is a nil *rsa.PSSOptions")
		}
		o.pss, o.saltLength = true, opts.SaltLength
	case *ed25519.Options:
		if opts == nil {
			return o, errors.New("opts is a nil *ed25519.Options")
		}
		// KMS does not implement Ed25519ctx (RFC 8032 section 5.1), and a
		// signature without the context is not the one that was asked for.
		if opts.Context != "" {
			return o, errors.New("opts ask for an Ed25519 context, KMS signs without one")
		}
	case *mldsa.Options:
		if opts == nil {
			return o, errors.New("opts is a nil *mldsa.Options")
		}
		o.context = opts.Context
	}
	o.hash = opts.HashFunc()
	return o, nil
}

// String names what the options ask for, in an error.
func (o signOptions) String() string {
	var hash string
	switch o.hash {
	case 0:
		hash = "no hash"
	case mldsacrypto.MLDSAMu:
		hash = "an ML-DSA mu"
	default:
		hash = o.hash.String()
	}
	if o.pss {
		return "RSASSA-PSS with " + hash
	}
	return hash
}

// refuse returns the error for options that a key does not take. want names the
// key and the options that it does take.
func (o signOptions) refuse(want string) error {
	if o.none {
		return fmt.Errorf("opts is nil, %s", want)
	}
	return fmt.Errorf("opts ask for %s, %s", o, want)
}
