package kmstest

import (
	"crypto/rand"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func (k *KMS) generateRandom(in *kms.GenerateRandomInput) (*kms.GenerateRandomOutput, error) {
	switch {
	case in.NumberOfBytes == nil:
		return nil, refuse("ValidationException", "NumberOfBytes is required.")
	case in.CustomKeyStoreId != nil:
		return nil, refuse("CustomKeyStoreNotFoundException", "kmstest: custom key stores are not supported")
	case in.Recipient != nil:
		return nil, refuse("UnsupportedOperationException", "kmstest: answers to Nitro enclaves are not supported")
	}
	b := make([]byte, *in.NumberOfBytes)
	rand.Read(b)
	return &kms.GenerateRandomOutput{Plaintext: b}, nil
}
