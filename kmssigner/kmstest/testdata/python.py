"""Drives a fake KMS with boto3. TestPrograms runs it."""

import datetime
import hashlib
import json
import os

import boto3


def client(region):
    return boto3.client("kms", region_name=region, endpoint_url=os.environ["ENDPOINT"])


kms = client("us-east-1")
policy = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}


def refused(code, text, call, **arguments):
    try:
        call(**arguments)
    except kms.exceptions.ClientError as e:
        assert e.response["Error"] == {"Code": code, "Message": text}, e.response["Error"]
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return e
    raise AssertionError(f"no {code}")


key = kms.create_key(
    KeySpec="ECC_NIST_P256",
    KeyUsage="SIGN_VERIFY",
    MultiRegion=True,
    Policy=json.dumps(policy),
    Tags=[{"TagKey": "team", "TagValue": "identity"}],
)["KeyMetadata"]
now = datetime.datetime.now(datetime.timezone.utc)
assert abs(now - key["CreationDate"]) < datetime.timedelta(minutes=1), key["CreationDate"]
id = key["KeyId"]

# Set up, as Ansible's kms_key does.
kms.create_alias(AliasName="alias/py", TargetKeyId=id)
kms.update_key_description(KeyId=id, Description="tokens")
kms.put_key_policy(KeyId=id, PolicyName="default", Policy=json.dumps(policy))
assert json.loads(kms.get_key_policy(KeyId=id, PolicyName="default")["Policy"]) == policy
assert kms.list_key_policies(KeyId=id)["PolicyNames"] == ["default"]
assert kms.get_key_rotation_status(KeyId=id)["KeyRotationEnabled"] is False
grant = kms.create_grant(
    KeyId=id, GranteePrincipal="arn:aws:iam::111122223333:role/signer", Operations=["Sign", "GetPublicKey"]
)
pages = kms.get_paginator("list_grants").paginate(KeyId=id)
assert [g["GrantId"] for page in pages for g in page["Grants"]] == [grant["GrantId"]]
kms.retire_grant(KeyId=key["Arn"], GrantId=grant["GrantId"])
assert kms.list_grants(KeyId=id)["Grants"] == []
assert kms.list_resource_tags(KeyId=id)["Tags"] == [{"TagKey": "team", "TagValue": "identity"}]

# Sign, in two Regions.
digest = hashlib.sha256(b"a token").digest()
request = {"KeyId": id, "Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
signature = kms.sign(**{**request, "KeyId": "alias/py"})["Signature"]
assert kms.verify(Signature=signature, **request)["SignatureValid"] is True
refused("KMSInvalidSignatureException", "", kms.verify, Signature=signature[:-1], **request)
kms.replicate_key(KeyId=id, ReplicaRegion="eu-west-1")
replica = client("eu-west-1").sign(**request)
assert replica["KeyId"].startswith("arn:aws:kms:eu-west-1:"), replica["KeyId"]
assert kms.verify(Signature=replica["Signature"], **request)["SignatureValid"] is True

# MACs, random bytes, refusals and the end.
mac = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
made = kms.generate_mac(KeyId=mac, Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"]
assert kms.verify_mac(KeyId=mac, Message=b"m", MacAlgorithm="HMAC_SHA_256", Mac=made)["MacValid"] is True
assert len(kms.generate_random(NumberOfBytes=12)["Plaintext"]) == 12
refused(
    "ValidationException",
    "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: "
    "Member must have value less than or equal to 1024",
    boto3.client("kms", region_name="us-east-1", endpoint_url=os.environ["ENDPOINT"], config=boto3.session.Config(parameter_validation=False)).generate_random,
    NumberOfBytes=1025,
)
e = refused("NotFoundException", "Invalid keyId 'nonsense'", kms.describe_key, KeyId="nonsense")
assert isinstance(e, kms.exceptions.NotFoundException) and e.response["message"] == "Invalid keyId 'nonsense'"
refused("ValidationException", "PendingWindowInDays must be between 7 and 30", kms.schedule_key_deletion, KeyId=mac, PendingWindowInDays=6)
kms.delete_alias(AliasName="alias/py")
kms.schedule_key_deletion(KeyId=mac, PendingWindowInDays=7)
assert kms.describe_key(KeyId=mac)["KeyMetadata"]["KeyState"] == "PendingDeletion"
assert sorted(k["KeyId"] for page in kms.get_paginator("list_keys").paginate() for k in page["Keys"]) == sorted([id, mac])
