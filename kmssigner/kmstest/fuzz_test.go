package kmstest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// FuzzServeHTTP sends any request to the server: with the signature that the
// headers have, and with a good one. It answers in the form that KMS's clients
// read, and refuses what is not signed.
func FuzzServeHTTP(f *testing.F) {
	credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}
	const keyID = "alias/key" // Its key is another one for each input.
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `"`, "\xff", `{"KeyId":null}`, `{"KeyId":1}`, `{"KeyId":"` + keyID + `"}`,
		`{"KeyId":"` + keyID + `","Message":"bQ==","SigningAlgorithm":"ECDSA_SHA_256"}`,
		`{"KeyId":"` + keyID + `","Message":[1],"SigningAlgorithm":"","GrantTokens":[null]}`,
		`{"AliasName":"alias/a","TargetKeyId":"` + keyID + `"}`, `{"Limit":-1,"Marker":"x"}`, `{"Tags":[{}]}`,
	} {
		for _, target := range []string{"Sign", "GetPublicKey", "GenerateMac", "CreateKey", "CreateAlias", "ListKeys", "TagResource", "ScheduleKeyDeletion", "Encrypt"} {
			f.Add(http.MethodPost, "TrentService."+target, "application/x-amz-json-1.1", "", "", []byte(body))
		}
	}
	f.Add(http.MethodGet, "", "", "", "", []byte(nil))
	f.Add(http.MethodPost, "TrentService.Sign", "application/x-amz-json-1.1; charset=\"", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/kms/aws4_request, SignedHeaders=host;;, Signature=00", "20260101T000000Z", []byte("{}"))
	f.Fuzz(func(t *testing.T, method, target, contentType, authorization, date string, body []byte) {
		fake := kmstest.New(func(o *kmstest.Options) { o.Credentials = credentials })
		_, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{
			AliasName:   aws.String(keyID),
			TargetKeyId: aws.String(fake.AddKey(types.KeySpecEccNistP256)),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, signed := range []bool{false, true} {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/", bytes.NewReader(body))
			if err != nil {
				return // The method is not one.
			}
			r.Header.Set("X-Amz-Target", target)
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("Authorization", authorization)
			r.Header.Set("X-Amz-Date", date)
			if signed {
				sum := sha256.Sum256(body)
				err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(sum[:]), "kms", "us-east-1", time.Now())
				if err != nil {
					t.Fatal(err)
				}
			}
			w := httptest.NewRecorder()
			fake.ServeHTTP(w, r)
			checkAnswer(t, w, signed)
		}
	})
}

// checkAnswer checks the form of an answer: an object of a type that clients
// expect, with an error code unless it is a success.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, signed bool) {
	t.Helper()
	answer := w.Result()
	body := w.Body.Bytes()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, %s", answer.StatusCode, body)
	}
	if !signed && answer.StatusCode == http.StatusOK {
		t.Errorf("a request without a good signature is answered by %s", body)
	}
	if got := answer.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
		t.Errorf("content type %q", got)
	}
	if answer.Header.Get("X-Amzn-Requestid") == "" {
		t.Error("no request ID")
	}
	if answer.StatusCode == http.StatusOK && len(body) == 0 {
		return // as to UpdateAlias and others
	}
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		t.Errorf("status %d with the body %q: %v", answer.StatusCode, body, err)
	}
	code, _ := members["__type"].(string)
	if isError := answer.StatusCode != http.StatusOK; isError != (code != "") {
		t.Errorf("status %d with the error code %q", answer.StatusCode, code)
	}
}
