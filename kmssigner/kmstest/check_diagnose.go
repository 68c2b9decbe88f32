package kmstest

import (
	"bytes"
	"crypto"
	"fmt"
)

// diagnose describes an invalid signature. It tries what the signer may have
// signed by mistake.
func (c *signerCheck) diagnose(call signerCall, sig []byte) string {
	type candidate struct {
		input []byte
		name  string
	}
	given := call.given
	candidates := []candidate{{given, "the input"}}
	add := func(input []byte, format string, args ...any) {
		candidates = append(candidates, candidate{input, fmt.Sprintf(format, args...)})
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		once := sum(h, given)
		add(once, "the %v of the input", h)
		add(sum(h, once), "the %v of the %v of the input", h, h)
		if len(given) > maxMessage {
			add(sum(h, given[:maxMessage]), "the %v of the first %d bytes of the input", h, maxMessage)
		}
		if size := h.Size(); size < len(given) {
			add(given[:size], "the input truncated to %d bytes", size)
		} else if size > len(given) {
			add(append(bytes.Clone(given), make([]byte, size-len(given))...), "the input padded to %d bytes", size)
		}
	}
	if len(given) > maxMessage {
		add(given[:maxMessage], "the first %d bytes of the input", maxMessage)
	}
	for _, other := range c.earlier {
		if !bytes.Equal(other, given) {
			add(other, "the input of another call")
		}
	}
	for _, candidate := range candidates {
		if kind := c.key.identify(candidate.input, sig); kind != "" {
			return fmt.Sprintf("it is %s over %s", kind, candidate.name)
		}
	}
	return "it is by a key that Public did not return, or over other bytes"
}
