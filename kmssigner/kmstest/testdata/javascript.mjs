// Drives a fake KMS with the SDK for JavaScript. TestPrograms runs it.
import assert from "node:assert/strict";
import { createHash, verify } from "node:crypto";
import { createRequire } from "node:module";

const {
  KMS, paginateListKeys, NotFoundException, KMSInvalidSignatureException, UnsupportedOperationException,
} = createRequire(process.env.NODE_MODULES + "/")("@aws-sdk/client-kms");

const kms = new KMS({ endpoint: process.env.ENDPOINT, region: "us-east-1" });
const policy = {
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { AWS: "arn:aws:iam::111122223333:root" }, Action: "kms:*", Resource: "*" }],
};

const { KeyMetadata: key } = await kms.createKey({
  KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY", MultiRegion: true, Policy: JSON.stringify(policy),
  Tags: [{ TagKey: "team", TagValue: "identity" }],
});
assert.equal(key.KeyState, "Enabled");
assert.ok(key.CreationDate instanceof Date && Math.abs(Date.now() - key.CreationDate) < 60_000, String(key.CreationDate));
const KeyId = key.KeyId;

// Set up.
await kms.createAlias({ AliasName: "alias/js", TargetKeyId: KeyId });
await kms.tagResource({ KeyId, Tags: [{ TagKey: "env", TagValue: "test" }] });
assert.equal((await kms.listResourceTags({ KeyId })).Tags.length, 2);
await kms.untagResource({ KeyId, TagKeys: ["env"] });
await kms.updateKeyDescription({ KeyId, Description: "tokens" });
assert.deepEqual(JSON.parse((await kms.getKeyPolicy({ KeyId })).Policy), policy);
await kms.putKeyPolicy({ KeyId, Policy: JSON.stringify({ ...policy, Id: "second" }) });
assert.equal(JSON.parse((await kms.getKeyPolicy({ KeyId })).Policy).Id, "second");
assert.deepEqual((await kms.listKeyPolicies({ KeyId })).PolicyNames, ["default"]);
assert.equal((await kms.getKeyRotationStatus({ KeyId })).KeyRotationEnabled, false);
await assert.rejects(kms.enableKeyRotation({ KeyId }), UnsupportedOperationException);
const { GrantId } = await kms.createGrant({ KeyId, GranteePrincipal: "arn:aws:iam::111122223333:role/signer", Operations: ["Sign"] });
assert.equal((await kms.listGrants({ KeyId })).Grants[0].GrantId, GrantId);
await kms.revokeGrant({ KeyId, GrantId });

// Sign, in two Regions.
const { PublicKey } = await kms.getPublicKey({ KeyId: "alias/js" });
const spki = { key: Buffer.from(PublicKey), format: "der", type: "spki" };
const message = Buffer.from("a token");
const digest = createHash("sha256").update(message).digest();
const SigningAlgorithm = "ECDSA_SHA_256";
const { Signature } = await kms.sign({ KeyId: "alias/js", Message: digest, MessageType: "DIGEST", SigningAlgorithm });
assert.ok(verify("sha256", message, spki, Signature));
assert.equal((await kms.verify({ KeyId, Message: message, Signature, SigningAlgorithm })).SignatureValid, true);
await assert.rejects(kms.verify({ KeyId, Message: digest, Signature, SigningAlgorithm }), KMSInvalidSignatureException);
await kms.replicateKey({ KeyId, ReplicaRegion: "eu-west-1" });
const europe = new KMS({ endpoint: process.env.ENDPOINT, region: "eu-west-1" });
const there = await europe.sign({ KeyId, Message: message, SigningAlgorithm });
assert.ok(verify("sha256", message, spki, there.Signature));
assert.match(there.KeyId, /^arn:aws:kms:eu-west-1:/);

// MACs.
const mac = (await kms.createKey({ KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" })).KeyMetadata.KeyId;
const { Mac } = await kms.generateMac({ KeyId: mac, Message: message, MacAlgorithm: "HMAC_SHA_256" });
assert.equal(Mac.length, 32);
assert.equal((await kms.verifyMac({ KeyId: mac, Message: message, Mac, MacAlgorithm: "HMAC_SHA_256" })).MacValid, true);

// Lists, refusals and the end.
const ids = [];
for await (const page of paginateListKeys({ client: kms, pageSize: 1 }, {})) ids.push(...page.Keys.map((k) => k.KeyId));
assert.deepEqual(ids.sort(), [KeyId, mac].sort());
await assert.rejects(kms.describeKey({ KeyId: "alias/none" }), (e) => e instanceof NotFoundException && e.message === "Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found.");
await assert.rejects(kms.tagResource({ KeyId, Tags: [{ TagKey: "a", TagValue: "1" }, { TagKey: "a", TagValue: "2" }] }), { name: "TagException", message: "Duplicate tag keys" });
await kms.deleteAlias({ AliasName: "alias/js" });
await kms.scheduleKeyDeletion({ KeyId: mac, PendingWindowInDays: 7 });
const gone = (await kms.describeKey({ KeyId: mac })).KeyMetadata;
assert.equal(gone.KeyState, "PendingDeletion");
assert.ok(gone.DeletionDate > new Date());
