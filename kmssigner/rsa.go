package kmssigner

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"math"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

var rsaSpecs = []types.KeySpec{types.KeySpecRsa2048, types.KeySpecRsa3072, types.KeySpecRsa4096}

// rsaSchemes are the algorithms of every RSA key, with the options that ask for
// them.
var rsaSchemes = []struct {
	hash      crypto.Hash
	pss       bool
	algorithm types.SigningAlgorithmSpec
}{
	{crypto.SHA256, false, types.SigningAlgorithmSpecRsassaPkcs1V15Sha256},
	{crypto.SHA384, false, types.SigningAlgorithmSpecRsassaPkcs1V15Sha384},
	{crypto.SHA512, false, types.SigningAlgorithmSpecRsassaPkcs1V15Sha512},
	{crypto.SHA256, true, types.SigningAlgorithmSpecRsassaPssSha256},
	{crypto.SHA384, true, types.SigningAlgorithmSpecRsassaPssSha384},
	{crypto.SHA512, true, types.SigningAlgorithmSpecRsassaPssSha512},
}

// rsaKey signs with RSASSA-PKCS1-v1_5 or RSASSA-PSS (RFC 8017).
type rsaKey struct {
	pub     *rsa.PublicKey
	keySpec types.KeySpec
}

func newRSA(pub *rsa.PublicKey) (keyType, error) {
	if pub == nil || pub.N == nil {
		return nil, fmt.Errorf("%w: the RSA public key is nil", ErrUnsupportedKey)
	}
	// FIPS 186-5 section A.1.1 wants an odd exponent. KMS uses 65537, and
	// crypto/rsa supports exponents up to 2^31-1.
	if pub.E < 3 || pub.E%2 == 0 || pub.E > math.MaxInt32 {
		return nil, fmt.Errorf("%w: RSA exponent %d, want an odd number from 3 to 2^31-1", ErrUnsupportedKey, pub.E)
	}
	if pub.N.Sign() <= 0 || pub.N.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: RSA modulus is even or negative, so it is not a product of two large primes", ErrUnsupportedKey)
	}
	switch bits := pub.N.BitLen(); bits {
	case 2048:
		return rsaKey{pub, types.KeySpecRsa2048}, nil
	case 3072:
		return rsaKey{pub, types.KeySpecRsa3072}, nil
	case 4096:
		return rsaKey{pub, types.KeySpecRsa4096}, nil
	default:
		return nil, fmt.Errorf("%w: RSA modulus of %d bits, want 2048, 3072 or 4096", ErrUnsupportedKey, bits)
	}
}

func (k rsaKey) public() crypto.PublicKey { return k.pub }
func (k rsaKey) spec() types.KeySpec      { return k.keySpec }

// defaultHash is the hash of RS256, which every verifier knows.
func (rsaKey) defaultHash() crypto.Hash { return crypto.SHA256 }

func (rsaKey) algorithms() []types.SigningAlgorithmSpec {
	var list []types.SigningAlgorithmSpec
	for _, scheme := range rsaSchemes {
		list = append(list, scheme.algorithm)
	}
	return list
}

func (k rsaKey) prepare(in input) (request, error) {
	for _, scheme := range rsaSchemes {
		if scheme.hash != in.opts.hash || scheme.pss != in.opts.pss {
			continue
		}
		if in.opts.pss {
			if err := checkSaltLength(scheme.hash, in.opts.saltLength); err != nil {
				return request{}, err
			}
		}
		return in.hashed(scheme.algorithm, scheme.hash, scheme.hash)
	}
	return request{}, in.opts.refuse("an RSA key wants SHA-256, SHA-384 or SHA-512")
}

// checkSaltLength accepts the one salt length that KMS uses, the length of the
// hash. PSSSaltLengthAuto lets the signer choose, so it is accepted.
func checkSaltLength(hash crypto.Hash, saltLength int) error {
	switch saltLength {
	case rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash, hash.Size():
		return nil
	}
	return fmt.Errorf("opts ask for a PSS salt of %d bytes, want %d: KMS makes it as long as the hash",
		saltLength, hash.Size())
}

func (k rsaKey) checkForm(sig []byte) error { return checkLength(sig, k.pub.Size()) }

func (k rsaKey) verify(r request, sig []byte) bool {
	if r.opts.pss {
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(k.pub, r.opts.hash, r.signed, sig, opts) == nil
	}
	return rsa.VerifyPKCS1v15(k.pub, r.opts.hash, r.signed, sig) == nil
}
