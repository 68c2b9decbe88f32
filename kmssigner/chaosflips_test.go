package kmssigner_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A recording is an answer of the fake as it is on the wire, by the operation.
type recording map[string][]byte

// record adds the answer to a call.
func (r recording) record(t *testing.T, address string, c chaosCall) {
	t.Helper()
	var lastOperation string
	err := newPeer(t, nil).run(t, c.name, func(conn *net.TCPConn, _ *stall) {
		eachRequest(conn, func(x rawRequest) error {
			answer, err := x.ask(address)
			if err != nil {
				return err
			}
			lastOperation = x.operation
			r[x.operation] = answer
			_, err = conn.Write(answer)
			return err
		})
	}, c.do)
	if errors.Is(err, errWrong) || r[lastOperation] == nil {
		t.Fatalf("%s: %v", c.name, err)
	}
}

// A flip is the number of a bit in the recorded answer to an operation.
type flip struct {
	recording
	operation string
	bit       int
}

// serve answers one request with what is recorded.
func (f flip) serve(c *net.TCPConn, s *stall) {
	eachRequest(c, func(x rawRequest) error {
		answer := f.recording[x.operation]
		if x.operation == f.operation {
			answer = bytes.Clone(answer)
			answer[f.bit/8] ^= 1 << (f.bit % 8)
		}
		c.Write(answer)
		ends.end(c, s)
		return io.EOF
	})
}

// TestChaosFlips flips every bit of an answer, of its headers and of its body.
func TestChaosFlips(t *testing.T) {
	discardLog(t)
	noLeaks := noGoroutineLeft(t)
	t.Run("cases", func(t *testing.T) {
		fake := newChaosFake()
		server := kmstest.NewServer(fake)
		defer server.Close()
		address := strings.TrimPrefix(server.URL, "http://")

		type flipCase struct {
			chaosCall
			flip
			mustFail bool
		}
		var cases []flipCase
		var altered atomic.Int64
		add := func(c chaosCall, operation string, mustFail bool) {
			answers := recording{}
			answers.record(t, address, c)
			for bit := range 8 * len(answers[operation]) {
				cases = append(cases, flipCase{c, flip{answers, operation, bit}, mustFail})
			}
		}
		for _, spec := range []types.KeySpec{ // One of each type; others differ in size.
			types.KeySpecEccNistP256, types.KeySpecEccSecgP256k1, types.KeySpecEccNistEdwards25519, types.KeySpecRsa2048, types.KeySpecMlDsa44,
		} {
			keys := newChaosKeys(t, fake, spec)
			opts := optsFor(spec)[0]
			name := string(spec)
			add(chaosCall{"Sign with " + name, keys.sign(chaosMessage, opts)}, "TrentService.Sign", false)
			add(chaosCall{"GetPublicKey of " + name, keys.getPublicKeyAndSign(opts)}, "TrentService.GetPublicKey", false)
		}
		keys := newChaosKeys(t, fake, types.KeySpecEccNistP256)
		add(chaosCall{"DescribeKey", keys.describeKey}, "TrentService.DescribeKey", false)
		add(chaosCall{"GenerateMac", keys.generateMAC(&altered)}, "TrentService.GenerateMac", false)
		add(chaosCall{"VerifyMac", keys.verifyMAC(&altered)}, "TrentService.VerifyMac", false)
		add(chaosCall{"VerifyMac of a forgery", keys.verifyForgedMAC}, "TrentService.VerifyMac", false)
		refused := newChaosKeys(t, fake, types.KeySpecEccNistP256)
		if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(refused.signer.KeyARN())}); err != nil {
			t.Fatal(err)
		}
		add(chaosCall{"Sign refused", refused.sign(chaosMessage, crypto.SHA256)}, "TrentService.Sign", true)

		chosen := sample(cases, 1000)
		var succeeded atomic.Int64
		eachCase(t, nil, chosen, func(p *peer, c flipCase) {
			name := fmt.Sprintf("%s, bit %d", c.name, c.bit)
			err := p.run(t, name, c.flip.serve, c.do)
			switch {
			case err == nil && c.mustFail:
				t.Errorf("%s: no error", name)
			case err == nil:
				succeeded.Add(1)
			case errors.Is(err, errWrong):
				t.Errorf("%s: %v", name, err)
			case !explained(err):
				t.Errorf("%s: %v, want an error with its cause", name, err)
			}
		})
		t.Logf("%d of %d bits, %d calls succeeded, %d MACs or verdicts altered", len(chosen), len(cases), succeeded.Load(), altered.Load())
	})
	noLeaks()
}

// discardLog keeps net/http from printing that an answer goes on after its end.
func discardLog(t *testing.T) {
	before := log.Writer()
	t.Cleanup(func() { log.SetOutput(before) })
	log.SetOutput(io.Discard)
}

// explained reports whether the chain of err has the error of the layer that
// refused the answer. There is no sentinel for a description of a key that is
// malformed, or that lacks the algorithm that the caller asks for.
func explained(err error) bool {
	for _, sentinel := range []error{kmssigner.ErrBadSignature, kmssigner.ErrKeyChanged, kmssigner.ErrUnsupportedKey, kmssigner.ErrAnswerTooLarge} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	_, isKMS := errors.AsType[smithy.APIError](err)
	_, isHTTP := errors.AsType[*smithyhttp.RequestSendError](err)
	_, isJSON := errors.AsType[*smithy.DeserializationError](err)
	isKey := false
	for _, text := range []string{": parse public key: ", ": KMS answered ", ": opts ask for "} {
		isKey = isKey || strings.Contains(err.Error(), text)
	}
	return isKMS || isHTTP || isJSON || isKey || brokenConnection(err)
}

// getPublicKeyAndSign makes a Signer, whatever its key is, and signs. The
// result is right if the signature verifies with the true key.
func (k *chaosKeys) getPublicKeyAndSign(opts crypto.SignerOpts) func(context.Context, *kms.Client) error {
	return func(ctx context.Context, client *kms.Client) error {
		s, err := kmssigner.New(ctx, client, k.signer.KeyARN())
		if err != nil {
			return err
		}
		sig, err := s.WithContext(ctx).SignMessage(nil, chaosMessage, opts)
		if err != nil {
			return err
		}
		for _, pub := range []crypto.PublicKey{s.Public(), k.signer.Public()} {
			if err := verify(pub, chaosMessage, sig, opts); err != nil {
				return fmt.Errorf("%w: %w", errWrong, err)
			}
		}
		return nil
	}
}
