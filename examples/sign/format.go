package main

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/kmssign/kmssign/derconv"
)

// format is how a signature is written.
type format struct {
	ecdsa string // "der" or "p1363"; empty: DER, for keys of other types too
	text  string // "base64" or "hex"; empty: binary
}

// parseFormat reads the value of -format.
func parseFormat(text string) (format, error) {
	var f format
	for name := range strings.SplitSeq(text, ",") {
		into := &f.text
		switch name {
		case "der", "p1363":
			into = &f.ecdsa
		case "base64", "hex":
		case "":
			if text == "" {
				return f, nil
			}
			fallthrough
		default:
			return f, fmt.Errorf("unknown -format %q, want der, p1363, base64 or hex, or two with a comma", text)
		}
		if *into != "" {
			return f, fmt.Errorf("-format is %q, which has both %s and %s", text, *into, name)
		}
		*into = name
	}
	return f, nil
}

// encode returns a signature, DER if curve is not nil, in the format.
func (f format) encode(sig []byte, curve elliptic.Curve) ([]byte, error) {
	if f.ecdsa == "p1363" {
		var err error
		if sig, err = derconv.ToP1363(sig, curve); err != nil {
			return nil, err
		}
	}
	switch f.text {
	case "base64":
		return []byte(base64.StdEncoding.EncodeToString(sig) + "\n"), nil
	case "hex":
		return []byte(hex.EncodeToString(sig) + "\n"), nil
	}
	return sig, nil
}

// decode is the inverse of encode. Text may have spaces and line breaks.
func (f format) decode(data []byte, curve elliptic.Curve) ([]byte, error) {
	var err error
	switch f.text {
	case "base64":
		data, err = base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(data), nil)))
	case "hex":
		data, err = hex.DecodeString(string(bytes.Join(bytes.Fields(data), nil)))
	}
	if err != nil {
		return nil, fmt.Errorf("the signature is not %s: %w", f.text, err)
	}
	if curve == nil {
		return data, nil
	}
	if f.ecdsa == "p1363" {
		if data, err = derconv.ToDER(data, curve); err != nil {
			return nil, fmt.Errorf("the signature is not in the format p1363: %w", err)
		}
	} else if _, err = derconv.ToP1363(data, curve); err != nil {
		return nil, fmt.Errorf("the signature is not DER (-format says what else it is): %w", err)
	}
	return data, nil
}
