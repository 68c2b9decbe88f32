package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/logging"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// LoadConfig returns the ordinary AWS configuration: environment, profiles and
// roles, and AWS_ENDPOINT_URL_KMS for an emulator. The Region, if it is not
// empty, replaces the configured one. Without any Region the error suggests
// orElse, another way to name one. Without credentials there is an error too,
// so that it does not come from the first call.
func LoadConfig(ctx context.Context, region, orElse string, optFns ...func(*config.LoadOptions) error) (aws.Config, error) {
	// The SDK would write its warnings to standard error.
	cfg, err := config.LoadDefaultConfig(ctx, append(optFns, config.WithLogger(logging.Nop{}))...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	if region != "" {
		cfg.Region = region
	}
	if cfg.Region == "" {
		return aws.Config{}, fmt.Errorf("no AWS Region: set AWS_REGION, choose a profile that has one, or %s", orElse)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return aws.Config{}, fmt.Errorf("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a profile or a role: %w", err)
	}
	return cfg, nil
}

// RegionOf returns the Region in the ARN of a key or an alias, where alone KMS
// finds it, or the empty string for a name that is not an ARN.
func RegionOf(key string) string {
	named, err := arn.Parse(key)
	if err != nil {
		return ""
	}
	return named.Region
}

// IsAlias reports whether key is the name or the ARN of an alias.
func IsAlias(key string) bool {
	if named, err := arn.Parse(key); err == nil {
		key = named.Resource
	}
	return strings.HasPrefix(key, "alias/")
}

// NewFake returns a KMS in memory with a new P-256 key behind an alias.
func NewFake(ctx context.Context) (fake *kmstest.KMS, alias string, err error) {
	fake, alias = kmstest.New(), "alias/jwt"
	_, err = fake.CreateAlias(ctx, &kms.CreateAliasInput{
		AliasName:   &alias,
		TargetKeyId: aws.String(fake.AddKey(types.KeySpecEccNistP256)),
	})
	return fake, alias, err
}
