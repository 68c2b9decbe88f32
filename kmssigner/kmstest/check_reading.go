package kmstest

import (
	"bytes"
	"crypto"
	"fmt"
)

// reading says what a wrong signature is, by trying likely mistakes.
func (c *signerCheck) reading(call signerCall, sig []byte) string {
	type candidate struct {
		digest []byte
		name   string
	}
	given := call.given
	candidates := []candidate{{given, "the input"}}
	add := func(digest []byte, format string, args ...any) {
		candidates = append(candidates, candidate{digest, fmt.Sprintf(format, args...)})
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		once := sum(h, given)
		add(once, "the %v of the input", h)
		add(sum(h, once), "the %v of the %v of the input", h, h)
		if len(given) > maxMessage {
			add(sum(h, given[:maxMessage]), "the %v of the first %d bytes of the input", h, maxMessage)
		}
		if size := h.Size(); size < len(given) {
			add(given[:size], "the input cut to %d bytes", size)
		} else if size > len(given) {
			add(append(bytes.Clone(given), make([]byte, size-len(given))...), "the input filled up to %d bytes", size)
		}
	}
	if len(given) > maxMessage {
		add(given[:maxMessage], "the first %d bytes of the input", maxMessage)
	}
	for _, other := range c.earlier {
		if !bytes.Equal(other, given) {
			add(other, "what another call was given")
		}
	}
	for _, is := range candidates {
		if name := c.key.read(is.digest, sig); name != "" {
			return fmt.Sprintf("it is %s over %s", name, is.name)
		}
	}
	return "it is by another key than Public returns, or over other bytes"
}
