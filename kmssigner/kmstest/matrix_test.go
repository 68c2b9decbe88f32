package kmstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// matrix has the answers of KMS to combinations of key, operation and request.
// A row has the columns
//
//	key  state  operation  algorithm  message type  length  dry run  answer
//
// A key is a spec, followed by a usage if AddKey chooses another. A list with
// commas stands for one row for each of its elements. A member - is absent, and
// "" is empty. The answer is ok, or a code and a text in which {arn}, {op},
// {alg}, {spec}, {type} and {usage} stand for those of the row. Verify and
// VerifyMac get a valid signature or MAC, and Verify! and VerifyMac! one with a
// flipped bit.
const matrix = `
# Every algorithm of every spec, RAW, of 1 to 4096 bytes.
RSA_2048,RSA_3072,RSA_4096 Enabled Sign,Verify RSASSA_PKCS1_V1_5_SHA_256,RSASSA_PKCS1_V1_5_SHA_384,RSASSA_PKCS1_V1_5_SHA_512 -,RAW 33 - ok
RSA_2048,RSA_3072,RSA_4096 Enabled Sign,Verify RSASSA_PSS_SHA_256,RSASSA_PSS_SHA_384,RSASSA_PSS_SHA_512 -,RAW 65 - ok
ECC_NIST_P256,ECC_SECG_P256K1 Enabled Sign,Verify ECDSA_SHA_256 -,RAW 1,31,32,33,64,4096 - ok
ECC_NIST_P384 Enabled Sign,Verify ECDSA_SHA_384 -,RAW 1,47,48,49,4096 - ok
ECC_NIST_P521 Enabled Sign,Verify ECDSA_SHA_512 -,RAW 1,63,64,65,4096 - ok
ECC_NIST_EDWARDS25519 Enabled Sign,Verify ED25519_SHA_512 -,RAW 1,32,64,4096 - ok
ML_DSA_44,ML_DSA_65,ML_DSA_87 Enabled Sign,Verify ML_DSA_SHAKE_256 -,RAW 1,64,4096 - ok
HMAC_224 Enabled GenerateMac,VerifyMac HMAC_SHA_224 - 1,28,4096 - ok
HMAC_256 Enabled GenerateMac,VerifyMac HMAC_SHA_256 - 1,32,4096 - ok
HMAC_384 Enabled GenerateMac,VerifyMac HMAC_SHA_384 - 1,48,4096 - ok
HMAC_512 Enabled GenerateMac,VerifyMac HMAC_SHA_512 - 1,64,4096 - ok

# Digests: as long as the hash, and no other length.
RSA_2048 Enabled Sign,Verify RSASSA_PSS_SHA_256,RSASSA_PKCS1_V1_5_SHA_256 DIGEST 32 - ok
RSA_2048 Enabled Sign,Verify RSASSA_PSS_SHA_384,RSASSA_PKCS1_V1_5_SHA_384 DIGEST 48 - ok
RSA_2048 Enabled Sign,Verify RSASSA_PSS_SHA_512,RSASSA_PKCS1_V1_5_SHA_512 DIGEST 64 - ok
RSA_2048 Enabled Sign,Verify RSASSA_PSS_SHA_256,RSASSA_PKCS1_V1_5_SHA_256 DIGEST 1,20,31,33,48,64,4096 -,true ValidationException Digest is invalid length for algorithm {alg}.
RSA_2048 Enabled Sign,Verify RSASSA_PSS_SHA_384,RSASSA_PKCS1_V1_5_SHA_384 DIGEST 32,47,49,64 - ValidationException Digest is invalid length for algorithm {alg}.
RSA_2048 Enabled Sign,Verify RSASSA_PSS_SHA_512,RSASSA_PKCS1_V1_5_SHA_512 DIGEST 32,63,65 - ValidationException Digest is invalid length for algorithm {alg}.
ECC_NIST_P256,ECC_SECG_P256K1 Enabled Sign,Verify ECDSA_SHA_256 DIGEST 32 - ok
ECC_NIST_P256,ECC_SECG_P256K1 Enabled Sign,Verify ECDSA_SHA_256 DIGEST 1,31,33,48,64 -,true ValidationException Digest is invalid length for algorithm {alg}.
ECC_NIST_P384 Enabled Sign,Verify ECDSA_SHA_384 DIGEST 48 - ok
ECC_NIST_P384 Enabled Sign,Verify ECDSA_SHA_384 DIGEST 32,47,49,64 - ValidationException Digest is invalid length for algorithm {alg}.
ECC_NIST_P521 Enabled Sign,Verify ECDSA_SHA_512 DIGEST 64 - ok
ECC_NIST_P521 Enabled Sign,Verify ECDSA_SHA_512 DIGEST 32,63,65,66 - ValidationException Digest is invalid length for algorithm {alg}.

# Ed25519 and ML-DSA have message types of their own.
ECC_NIST_EDWARDS25519 Enabled Sign,Verify ED25519_PH_SHA_512 DIGEST 64 - ok
ECC_NIST_EDWARDS25519 Enabled Sign,Verify ED25519_PH_SHA_512 DIGEST 1,32,63,65 - ValidationException Digest is invalid length for algorithm {alg}.
ECC_NIST_EDWARDS25519 Enabled Sign,Verify ED25519_PH_SHA_512 -,RAW 1,64 - ValidationException Message type RAW is incompatible with algorithm {alg}.
ECC_NIST_EDWARDS25519 Enabled Sign,Verify ED25519_SHA_512 DIGEST 1,64 - ValidationException Message type DIGEST is incompatible with algorithm {alg}.
ECC_NIST_EDWARDS25519 Enabled Sign,Verify ED25519_SHA_512,ED25519_PH_SHA_512 EXTERNAL_MU 64 - ValidationException Message type EXTERNAL_MU is incompatible with key spec {spec}.
ML_DSA_44,ML_DSA_65,ML_DSA_87 Enabled Sign,Verify ML_DSA_SHAKE_256 EXTERNAL_MU 64 - ok
ML_DSA_44,ML_DSA_65,ML_DSA_87 Enabled Sign,Verify ML_DSA_SHAKE_256 EXTERNAL_MU 1,32,63,65 - ValidationException External Mu is invalid length for algorithm {alg}.
ML_DSA_44,ML_DSA_65,ML_DSA_87 Enabled Sign,Verify ML_DSA_SHAKE_256 DIGEST 32,64 - ValidationException Message type DIGEST is incompatible with key spec {spec}.
RSA_2048 Enabled Sign,Verify RSASSA_PSS_SHA_512 EXTERNAL_MU 1,64 - ValidationException Message type EXTERNAL_MU is incompatible with key spec {spec}.
ECC_NIST_P256,ECC_SECG_P256K1 Enabled Sign,Verify ECDSA_SHA_256 EXTERNAL_MU 32,64 - ValidationException Message type EXTERNAL_MU is incompatible with key spec {spec}.

# The form of the request goes before all else: the key, its state and its usage.
ECC_NIST_P256,RSA_2048,HMAC_256,none,alias/none Enabled,Disabled,PendingDeletion Sign,Verify ECDSA_SHA_256 -,RAW,DIGEST 0 -,true ValidationException 1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1
ECC_NIST_P256,HMAC_256,none Enabled,Disabled Sign,Verify ED25519_SHA_512 RAW,DIGEST,EXTERNAL_MU 4097 - ValidationException 1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096
ECC_NIST_P256,none Enabled Sign,Verify ECDSA_SHA_256 RAW - - ValidationException 1 validation error detected: Value at 'message' failed to satisfy constraint: Member must not be null
ECC_NIST_P256,none Disabled Sign,Verify - RAW 1 - ValidationException 1 validation error detected: Value null at 'signingAlgorithm' failed to satisfy constraint: Member must not be null
ECC_NIST_P256,none Disabled Sign,Verify ES256,ecdsa_sha_256,RSAES_OAEP_SHA_256,HMAC_SHA_256 RAW 1 - ValidationException 1 validation error detected: Value '{alg}' at 'signingAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [RSASSA_PSS_SHA_256, RSASSA_PSS_SHA_384, RSASSA_PSS_SHA_512, RSASSA_PKCS1_V1_5_SHA_256, RSASSA_PKCS1_V1_5_SHA_384, RSASSA_PKCS1_V1_5_SHA_512, ECDSA_SHA_256, ECDSA_SHA_384, ECDSA_SHA_512, ED25519_SHA_512, ED25519_PH_SHA_512, SM2DSA, ML_DSA_SHAKE_256]
ECC_NIST_P256,none Disabled Sign,Verify ECDSA_SHA_256 raw,HASH 1 - ValidationException 1 validation error detected: Value '{type}' at 'messageType' failed to satisfy constraint: Member must satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]
ECC_NIST_P256,none Disabled Sign,Verify ECDSA_SHA_256 "" 1 - ValidationException 1 validation error detected: Value '' at 'messageType' failed to satisfy constraint: Member must satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]
HMAC_256,none Disabled GenerateMac,VerifyMac "" - 1 - ValidationException 1 validation error detected: Value '' at 'macAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]
HMAC_256,ECC_NIST_P256,none Enabled,Disabled GenerateMac,VerifyMac HMAC_SHA_256 - 0 -,true ValidationException 1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1
HMAC_256,ECC_NIST_P256,none Enabled,Disabled GenerateMac,VerifyMac HMAC_SHA_256 - 4097 - ValidationException 1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096
HMAC_256,none Disabled GenerateMac,VerifyMac HMAC_SHA_256 - - - ValidationException 1 validation error detected: Value at 'message' failed to satisfy constraint: Member must not be null
HMAC_256,none Disabled GenerateMac,VerifyMac - - 1 - ValidationException 1 validation error detected: Value null at 'macAlgorithm' failed to satisfy constraint: Member must not be null
HMAC_256,none Disabled GenerateMac,VerifyMac HS256,hmac_sha_256,ECDSA_SHA_256 - 1 - ValidationException 1 validation error detected: Value '{alg}' at 'macAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]

# Then the key.
none Enabled Sign,Verify ECDSA_SHA_256 - 1 -,true NotFoundException Key '{arn}' does not exist
none Enabled GenerateMac,VerifyMac HMAC_SHA_256 - 1 -,true NotFoundException Key '{arn}' does not exist
none Enabled GetPublicKey,DescribeKey - - - - NotFoundException Key '{arn}' does not exist
alias/none Enabled Sign,Verify ECDSA_SHA_256 - 1 - NotFoundException Alias {arn} is not found.
alias/none Enabled GenerateMac,VerifyMac HMAC_SHA_256 - 1 - NotFoundException Alias {arn} is not found.
alias/none Enabled GetPublicKey,DescribeKey - - - - NotFoundException Alias {arn} is not found.

# Then its usage, whatever its state.
ECC_NIST_P256/KEY_AGREEMENT,ECC_NIST_P384/KEY_AGREEMENT,ECC_NIST_P521/KEY_AGREEMENT,RSA_2048/ENCRYPT_DECRYPT,HMAC_224,HMAC_256,HMAC_384,HMAC_512,SYMMETRIC_DEFAULT,ML_KEM_512,ML_KEM_768,ML_KEM_1024 Enabled,Disabled,PendingDeletion Sign,Verify ECDSA_SHA_256,RSASSA_PSS_SHA_256 - 1 -,true InvalidKeyUsageException {arn} key usage is {usage} which is not valid for {op}.
ECC_NIST_P256,ECC_SECG_P256K1,ECC_NIST_EDWARDS25519,ECC_NIST_P384/KEY_AGREEMENT,RSA_2048,RSA_2048/ENCRYPT_DECRYPT,ML_DSA_44,SYMMETRIC_DEFAULT,ML_KEM_768 Enabled,Disabled,PendingDeletion GenerateMac,VerifyMac HMAC_SHA_256,HMAC_SHA_512 - 1 -,true InvalidKeyUsageException {arn} key usage is {usage} which is not valid for {op}.

# Then its state, whatever the algorithm, the message type and the length.
RSA_2048,ECC_NIST_P256,ECC_SECG_P256K1,ECC_NIST_EDWARDS25519,ML_DSA_44 Disabled Sign,Verify ECDSA_SHA_256,ECDSA_SHA_384,ML_DSA_SHAKE_256,SM2DSA RAW,DIGEST,EXTERNAL_MU 1,64 -,true DisabledException {arn} is disabled.
RSA_2048,ECC_NIST_P256,ECC_NIST_EDWARDS25519,ML_DSA_65 PendingDeletion Sign,Verify ECDSA_SHA_256,ED25519_SHA_512 RAW,DIGEST 1 -,true KMSInvalidStateException {arn} is pending deletion.
RSA_2048,ECC_NIST_P256,ECC_SECG_P256K1 PendingImport Sign,Verify ECDSA_SHA_256,ED25519_SHA_512 RAW,DIGEST 1 -,true KMSInvalidStateException {arn} is pending import.
HMAC_256 PendingImport GenerateMac,VerifyMac HMAC_SHA_256,HMAC_SHA_512 - 1 -,true KMSInvalidStateException {arn} is pending import.
HMAC_256,SYMMETRIC_DEFAULT PendingImport Sign,Verify ECDSA_SHA_256 RAW 1 -,true InvalidKeyUsageException {arn} key usage is {usage} which is not valid for {op}.
HMAC_256,HMAC_512 Disabled GenerateMac,VerifyMac HMAC_SHA_256,HMAC_SHA_224 - 1 -,true DisabledException {arn} is disabled.
HMAC_256,HMAC_512 PendingDeletion GenerateMac,VerifyMac HMAC_SHA_256,HMAC_SHA_224 - 1 -,true KMSInvalidStateException {arn} is pending deletion.

# Then the algorithm, whatever the message type and the length.
RSA_2048,RSA_4096 Enabled Sign,Verify ECDSA_SHA_256,ED25519_SHA_512,ML_DSA_SHAKE_256,SM2DSA,SYMMETRIC_DEFAULT -,DIGEST,EXTERNAL_MU 1,64 -,true InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
ECC_NIST_P256,ECC_SECG_P256K1 Enabled Sign,Verify ECDSA_SHA_384,ECDSA_SHA_512,RSASSA_PSS_SHA_256,ED25519_SHA_512,ED25519_PH_SHA_512,ML_DSA_SHAKE_256,SM2DSA -,DIGEST,EXTERNAL_MU 1,48 -,true InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
ECC_NIST_P384 Enabled Sign,Verify ECDSA_SHA_256,ECDSA_SHA_512 -,DIGEST 32 - InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
ECC_NIST_P521 Enabled Sign,Verify ECDSA_SHA_256,ECDSA_SHA_384 -,DIGEST 32 - InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
ECC_NIST_EDWARDS25519 Enabled Sign,Verify ECDSA_SHA_256,ECDSA_SHA_512,RSASSA_PKCS1_V1_5_SHA_512 -,DIGEST,EXTERNAL_MU 1 - InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
ML_DSA_44,ML_DSA_65,ML_DSA_87 Enabled Sign,Verify ECDSA_SHA_256,ED25519_SHA_512 -,DIGEST,EXTERNAL_MU 1 - InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
HMAC_224 Enabled GenerateMac,VerifyMac HMAC_SHA_256,HMAC_SHA_384,HMAC_SHA_512 - 1 -,true InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
HMAC_256 Enabled GenerateMac,VerifyMac HMAC_SHA_224,HMAC_SHA_384,HMAC_SHA_512 - 1 -,true InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
HMAC_384 Enabled GenerateMac,VerifyMac HMAC_SHA_224,HMAC_SHA_256,HMAC_SHA_512 - 1 - InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
HMAC_512 Enabled GenerateMac,VerifyMac HMAC_SHA_224,HMAC_SHA_256,HMAC_SHA_384 - 1 - InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.

# Then the signature, of which nothing is said. The dry run comes last.
RSA_2048 Enabled Verify! RSASSA_PSS_SHA_256,RSASSA_PKCS1_V1_5_SHA_512 - 1 -,false,true KMSInvalidSignatureException
ECC_NIST_P256,ECC_SECG_P256K1 Enabled Verify! ECDSA_SHA_256 -,DIGEST 32 -,false,true KMSInvalidSignatureException
ECC_NIST_EDWARDS25519 Enabled Verify! ED25519_SHA_512 RAW 1 -,true KMSInvalidSignatureException
ECC_NIST_EDWARDS25519 Enabled Verify! ED25519_PH_SHA_512 DIGEST 64 -,true KMSInvalidSignatureException
ML_DSA_44 Enabled Verify! ML_DSA_SHAKE_256 RAW,EXTERNAL_MU 64 -,true KMSInvalidSignatureException
HMAC_224,HMAC_256 Enabled VerifyMac! HMAC_SHA_384 - 1 -,true InvalidKeyUsageException Algorithm {alg} is incompatible with key spec {spec}.
HMAC_256 Enabled VerifyMac! HMAC_SHA_256 - 1 -,false,true KMSInvalidMacException
RSA_2048 Enabled Sign,Verify RSASSA_PSS_SHA_256 DIGEST 32 true DryRunOperationException The request would have succeeded, but the DryRun option is set.
ECC_NIST_P256,ECC_SECG_P256K1 Enabled Sign,Verify ECDSA_SHA_256 -,DIGEST 32 true DryRunOperationException The request would have succeeded, but the DryRun option is set.
ECC_NIST_P256 Enabled Sign,Verify ECDSA_SHA_256 - 1 false ok
ML_DSA_44 Enabled Sign,Verify ML_DSA_SHAKE_256 RAW,EXTERNAL_MU 64 true DryRunOperationException The request would have succeeded, but the DryRun option is set.
HMAC_512 Enabled GenerateMac,VerifyMac HMAC_SHA_512 - 1 true DryRunOperationException The request would have succeeded, but the DryRun option is set.

# Public keys and descriptions. Disabled keys show their public keys.
RSA_2048,RSA_2048/ENCRYPT_DECRYPT,ECC_NIST_P256,ECC_NIST_P256/KEY_AGREEMENT,ECC_NIST_P384,ECC_NIST_P521,ECC_SECG_P256K1,ECC_NIST_EDWARDS25519,ML_DSA_44,ML_DSA_65,ML_DSA_87,ML_KEM_512,ML_KEM_768,ML_KEM_1024 Enabled,Disabled GetPublicKey - - - - ok
RSA_2048,ECC_NIST_P256,ECC_NIST_EDWARDS25519,ML_DSA_44,HMAC_256,SYMMETRIC_DEFAULT PendingDeletion GetPublicKey - - - - KMSInvalidStateException {arn} is pending deletion.
RSA_2048,ECC_NIST_P256,HMAC_256,SYMMETRIC_DEFAULT PendingImport GetPublicKey - - - - KMSInvalidStateException {arn} is pending import.
HMAC_224,HMAC_256,HMAC_384,HMAC_512,SYMMETRIC_DEFAULT Enabled,Disabled GetPublicKey - - - - UnsupportedOperationException
RSA_2048,RSA_2048/ENCRYPT_DECRYPT,ECC_NIST_P256,ECC_NIST_P256/KEY_AGREEMENT,ECC_SECG_P256K1,ECC_NIST_EDWARDS25519,ML_DSA_44,ML_KEM_512,HMAC_256,SYMMETRIC_DEFAULT Enabled,Disabled,PendingDeletion DescribeKey - - - - ok
`

// answered has the members of the answers.
var answered = map[string][]string{
	"Sign":        {"KeyId", "Signature", "SigningAlgorithm"},
	"Verify":      {"KeyId", "SignatureValid", "SigningAlgorithm"},
	"GenerateMac": {"KeyId", "Mac", "MacAlgorithm"},
	"VerifyMac":   {"KeyId", "MacAlgorithm", "MacValid"},
}

// TestMatrix checks the answers in matrix over HTTP.
func TestMatrix(t *testing.T) {
	t.Parallel()
	k := New()
	s := NewServer(k)
	defer s.Close()
	m := &matrixKeys{t: t, k: k, made: map[string]string{}}
	rows := 0
	for _, line := range strings.Split(matrix, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.SplitN(line, " ", 8)
		if len(fields) != 8 {
			t.Fatalf("%d columns: %s", len(fields), line)
		}
		for _, row := range product(fields[:7]) {
			rows++
			m.check(s, row, fields[7])
		}
	}
	t.Logf("%d rows", rows)
	if rows < 2500 {
		t.Errorf("only %d rows", rows)
	}
}

// product expands the lists of a row.
func product(fields []string) [][]string {
	rows := [][]string{nil}
	for _, f := range fields {
		var more [][]string
		for _, row := range rows {
			for _, x := range strings.Split(f, ",") {
				more = append(more, append(row[:len(row):len(row)], x))
			}
		}
		rows = more
	}
	return rows
}

// matrixKeys holds the keys of the matrix.
type matrixKeys struct {
	t    *testing.T
	k    *KMS
	made map[string]string
}

func (m *matrixKeys) key(name, state string) (id, arn string) {
	switch name {
	case "none":
		return noKey, m.k.arn("key/" + noKey)
	case "alias/none":
		return name, m.k.arn(name)
	}
	id, ok := m.made[name+state]
	if !ok {
		f := fake{m.k, m.k, m.t}
		spec, usage, given := strings.Cut(name, "/")
		if given {
			id = f.create(types.KeySpec(spec), types.KeyUsageType(usage))
		} else if state == "PendingImport" {
			id = f.imported(types.KeySpec(spec))
		} else {
			id = m.k.AddKey(types.KeySpec(spec))
		}
		switch state {
		case "Disabled":
			f.disable(id)
		case "PendingDeletion":
			f.scheduleDeletion(id)
		}
		m.made[name+state] = id
	}
	return id, m.k.arn("key/" + id)
}

func (m *matrixKeys) check(s *Server, row []string, answer string) {
	m.t.Helper()
	key, state, op, alg, mt, length, dry := row[0], row[1], row[2], row[3], row[4], row[5], row[6]
	id, arn := m.key(key, state)
	op, corrupt := strings.CutSuffix(op, "!")

	body := map[string]any{"KeyId": id}
	msg := []byte(nil)
	if n, err := strconv.Atoi(length); err == nil {
		msg = bytes.Repeat([]byte{7}, n)
		body["Message"] = msg
	}
	set := func(name, value string) {
		if value != "-" {
			body[name] = strings.Trim(value, `"`)
		}
	}
	set("MessageType", mt)
	switch op {
	case "Sign", "Verify":
		set("SigningAlgorithm", alg)
	case "GenerateMac", "VerifyMac":
		set("MacAlgorithm", alg)
	}
	if dry != "-" {
		body["DryRun"] = dry == "true"
	}
	if op == "Verify" || op == "VerifyMac" {
		result := m.result(op, id, alg, mt, msg)
		if corrupt {
			result = bytes.Clone(result)
			result[len(result)-1] ^= 1
		}
		body[map[string]string{"Verify": "Signature", "VerifyMac": "Mac"}[op]] = result
	}
	wire, err := json.Marshal(body)
	if err != nil {
		m.t.Fatal(err)
	}
	status, got, _ := to(m.k, op, string(wire)).send(m.t, s)

	where := fmt.Sprintf("%s\n\t%s", strings.Join(row, " "), got)
	var members map[string]any
	if err := json.Unmarshal([]byte(got), &members); err != nil {
		m.t.Errorf("%s: %v", where, err)
		return
	}
	if answer == "ok" {
		want, ok := answered[op]
		if ok && len(members) != len(want) {
			m.t.Errorf("%s\n\twant the members %v", where, want)
		}
		for _, name := range want {
			if _, ok := members[name]; !ok {
				m.t.Errorf("%s\n\twants a member %s", where, name)
			}
		}
		if status != 200 || op != "DescribeKey" && members["KeyId"] != arn {
			m.t.Errorf("%s\n\twant success with KeyId %s", where, arn)
		}
		return
	}
	code, text, _ := strings.Cut(answer, " ")
	spec, _, _ := strings.Cut(key, "/")
	var usage string
	if k, ok := m.k.keys[id]; ok {
		usage = string(k.usage)
	}
	text = strings.NewReplacer("{arn}", arn, "{op}", op, "{alg}", alg, "{spec}", spec, "{type}", mt, "{usage}", usage).Replace(text)
	said, has := members["message"]
	if status != 400 || members["__type"] != code || has != (text != "") || has && said != text {
		m.t.Errorf("%s\n\twant 400 %s %s", where, code, text)
	}
}

// result returns a signature or MAC of msg, or other bytes if the fake refuses
// to make one.
func (m *matrixKeys) result(op, id, alg, mt string, msg []byte) []byte {
	if op == "Verify" {
		in := &kms.SignInput{KeyId: &id, Message: msg, SigningAlgorithm: types.SigningAlgorithmSpec(alg)}
		if mt != "-" {
			in.MessageType = types.MessageType(mt)
		}
		if out, err := m.k.sign(in); err == nil {
			return out.Signature
		}
	} else if out, err := m.k.generateMac(&kms.GenerateMacInput{KeyId: &id, Message: msg, MacAlgorithm: types.MacAlgorithmSpec(alg)}); err == nil {
		return out.Mac
	}
	return make([]byte, 64)
}
