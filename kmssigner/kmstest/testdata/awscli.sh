# Drives a fake KMS with the AWS CLI. TestPrograms runs it with bash.
set -euo pipefail

kms() { aws kms --endpoint-url "$ENDPOINT" --region "${REGION:-us-east-1}" --output text "$@"; }

is() {
	if [ "$1" != "$2" ]; then
		printf 'got %s, want %s\n' "$1" "$2" >&2
		exit 1
	fi
}

policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}'

id=$(kms create-key --key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY --multi-region --policy "$policy" --query KeyMetadata.KeyId)
kms create-alias --alias-name alias/cli --target-key-id "$id"
kms tag-resource --key-id "$id" --tags TagKey=team,TagValue=identity
kms update-key-description --key-id "$id" --description tokens
kms put-key-policy --key-id "$id" --policy-name default --policy "$policy"
[[ $(kms get-key-policy --key-id "$id" --policy-name default --query Policy) = *'"Version" : "2012-10-17"'* ]]
is "$(kms get-key-rotation-status --key-id "$id" --query KeyRotationEnabled)" False
grant=$(kms create-grant --key-id "$id" --grantee-principal arn:aws:iam::111122223333:role/signer --operations Sign --query GrantId)
is "$(kms list-grants --key-id "$id" --query 'Grants[].GrantId')" "$grant"
kms revoke-grant --key-id "$id" --grant-id "$grant"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf 'a token' >"$dir/message"
kms sign --key-id alias/cli --message "fileb://$dir/message" --signing-algorithm ECDSA_SHA_256 --query Signature | base64 -d >"$dir/signature"
kms get-public-key --key-id alias/cli --query PublicKey | base64 -d >"$dir/public"
openssl dgst -sha256 -keyform DER -verify "$dir/public" -signature "$dir/signature" "$dir/message"
is "$(kms verify --key-id "$id" --message "fileb://$dir/message" --signature "fileb://$dir/signature" --signing-algorithm ECDSA_SHA_256 --query SignatureValid)" True

kms replicate-key --key-id "$id" --replica-region eu-west-1 >"$dir/replica"
is "$(REGION=eu-west-1 kms describe-key --key-id "$id" --query KeyMetadata.KeyState)" Enabled
kms update-primary-region --key-id "$id" --primary-region eu-west-1
is "$(kms describe-key --key-id "$id" --query KeyMetadata.MultiRegionConfiguration.MultiRegionKeyType)" REPLICA

if kms describe-key --key-id alias/none 2>"$dir/error"; then
	exit 1
fi
[[ $(<"$dir/error") = *'An error occurred (NotFoundException) when calling the DescribeKey operation: Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found.'* ]]
kms delete-alias --alias-name alias/cli
is "$(kms list-aliases --query 'length(Aliases)')" 0
kms schedule-key-deletion --key-id "$id" --pending-window-in-days 7 >"$dir/deletion"
is "$(kms describe-key --key-id "$id" --query KeyMetadata.KeyState)" PendingDeletion
