package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// report is what was done, as -json writes it. What does not apply is left out.
type report struct {
	Key         string                     `json:"key_arn"`
	Algorithm   types.SigningAlgorithmSpec `json:"algorithm"`
	Hash        string                     `json:"hash,omitempty"`         // of what is signed
	Digest      string                     `json:"digest,omitempty"`       // in hex
	MessageType types.MessageType          `json:"message_type,omitempty"` // of the Sign or Verify call
	RequestID   string                     `json:"request_id,omitempty"`   // of the Sign or Verify call
	Signature   string                     `json:"signature,omitempty"`    // in base64, or in hex with -format hex
	Verified    string                     `json:"verified,omitempty"`     // of -verify: by what

	encoded []byte        // the signature in the format asked for
	took    time.Duration // the Sign or Verify call
}

func (k *key) report(s signed) *report {
	return &report{
		Key:       k.signer.KeyARN(),
		Algorithm: k.algorithm.name,
		Hash:      hashOf(k.hash),
		Digest:    hex.EncodeToString(s.digest),
	}
}

// table returns the report as text.
func (r *report) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text)
		}
	}
	row("key", r.Key)
	row("algorithm", string(r.Algorithm))
	if r.Digest != "" {
		row("digest", r.Hash+" "+r.Digest)
	}
	row("message type", string(r.MessageType))
	row("request id", r.RequestID)
	if r.MessageType != "" {
		row("KMS took", r.took.Round(100*time.Microsecond).String())
	}
	row("verified", r.Verified)
	if r.Verified == "" {
		row("verified", "with the public key")
	}
	w.Flush()
	return b.String()
}

// json returns the report as one JSON object.
func (r *report) json() []byte {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic(err) // a struct of strings
	}
	return append(data, '\n')
}
