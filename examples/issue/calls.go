package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/kmssigner"
)

// kmsClient has the KMS operations that the program calls.
type kmsClient interface {
	kmssigner.Client
	kmssigner.HMACClient
}

// A counter counts the calls that reach a client.
type counter struct {
	client kmsClient

	getPublicKey, describeKey, sign, generateMac, verifyMac int
}

// String lists the calls made so far.
func (c *counter) String() string {
	var made []string
	for _, op := range []struct {
		name  string
		calls int
	}{
		{"GetPublicKey", c.getPublicKey},
		{"DescribeKey", c.describeKey},
		{"Sign", c.sign},
		{"GenerateMac", c.generateMac},
		{"VerifyMac", c.verifyMac},
	} {
		if op.calls > 0 {
			made = append(made, fmt.Sprintf("%d %s", op.calls, op.name))
		}
	}
	return strings.Join(made, ", ")
}

func (c *counter) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	c.getPublicKey++
	return c.client.GetPublicKey(ctx, in, optFns...)
}

func (c *counter) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, optFns ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	c.describeKey++
	return c.client.DescribeKey(ctx, in, optFns...)
}

func (c *counter) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	c.sign++
	return c.client.Sign(ctx, in, optFns...)
}

func (c *counter) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, optFns ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	c.generateMac++
	return c.client.GenerateMac(ctx, in, optFns...)
}

func (c *counter) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	c.verifyMac++
	return c.client.VerifyMac(ctx, in, optFns...)
}
