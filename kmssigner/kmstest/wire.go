package kmstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/schemas"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// AWS JSON 1.1: a POST whose header X-Amz-Target names the operation and whose
// body is a JSON object of its members.
const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "TrentService."
)

// operations holds what the fake imitates, by name.
var operations = map[string]func(*KMS, []byte) ([]byte, error){
	"GetPublicKey":        answering((*KMS).getPublicKey),
	"Sign":                answering((*KMS).sign),
	"Verify":              answering((*KMS).verify),
	"DescribeKey":         answering((*KMS).describeKey),
	"CreateKey":           answering((*KMS).createKey),
	"CreateAlias":         acting((*KMS).createAlias),
	"UpdateAlias":         acting((*KMS).updateAlias),
	"DeleteAlias":         acting((*KMS).deleteAlias),
	"EnableKey":           acting((*KMS).enableKey),
	"DisableKey":          acting((*KMS).disableKey),
	"ScheduleKeyDeletion": answering((*KMS).scheduleKeyDeletion),
	"CancelKeyDeletion":   answering((*KMS).cancelKeyDeletion),
	"ListKeys":            answering((*KMS).listKeys),
	"ListAliases":         answering((*KMS).listAliases),
}

// answering adapts an operation that returns members.
func answering[In any, Out smithy.Serializable](run func(*KMS, *In) (Out, error)) func(*KMS, []byte) ([]byte, error) {
	return func(k *KMS, body []byte) ([]byte, error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		out, err := run(k, in)
		if err != nil {
			return nil, err
		}
		return encode(out)
	}
}

// acting adapts an operation whose success has no members: KMS then answers with
// an empty body.
func acting[In any](run func(*KMS, *In) error) func(*KMS, []byte) ([]byte, error) {
	return func(k *KMS, body []byte) ([]byte, error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		return nil, run(k, in)
	}
}

// reply is one HTTP answer.
type reply struct {
	status    int
	requestID string
	body      []byte
}

func (r reply) header() http.Header {
	h := http.Header{}
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate, private")
	h.Set("X-Amzn-Requestid", r.requestID)
	return h
}

// serve runs the operation that target names.
func (k *KMS) serve(target string, body []byte) reply {
	name, ok := strings.CutPrefix(target, targetPrefix)
	run := operations[name]
	if !ok || run == nil {
		return answerTo(nil, refuse("UnknownOperationException", "kmstest does not imitate the operation %q", target))
	}
	return answerTo(run(k, body))
}

// answerTo puts the outcome of an operation into an HTTP answer.
func answerTo(body []byte, err error) reply {
	r := reply{status: http.StatusOK, requestID: newUUID(), body: body}
	if err == nil {
		return r
	}
	var no *refusal
	if !errors.As(err, &no) {
		// Nothing in the fake should fail otherwise; if it does, it is as
		// much a fault of the service as it would be in KMS.
		no = refuse("KMSInternalException", "kmstest: %v", err)
	}
	r.status, r.body = no.status(), no.body()
	return r
}

// decode fills in, a pointer to one of the SDK's input structs, from a JSON
// object. As in KMS, member names are case-sensitive (which encoding/json's own
// matching is not), unknown members are ignored and null is as good as absent.
func decode(body []byte, in any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return refuse("SerializationException", "%v", err)
	}
	if members == nil { // the body was null
		return refuse("SerializationException", "the body is not a JSON object")
	}
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		raw, ok := members[field.Name]
		if !ok || !field.IsExported() {
			continue
		}
		if err := json.Unmarshal(raw, v.Field(i).Addr().Interface()); err != nil {
			return refuse("SerializationException", "%s: %v", field.Name, err)
		}
	}
	return nil
}

// The SDK has an encoder of outputs, but only inside its client protocol: so
// "send" the output as if it were the request of some operation.
var (
	protocol = awsjson.New11(schemas.TrentService)
	anyShape = smithy.NewOperationSchema(schemas.Sign, schemas.SignRequest, schemas.SignResponse)
)

func encode(out smithy.Serializable) ([]byte, error) {
	r := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if err := protocol.SerializeRequest(context.Background(), anyShape, out, r); err != nil {
		return nil, fmt.Errorf("encode %T: %w", out, err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, r.GetStream()); err != nil {
		return nil, fmt.Errorf("encode %T: %w", out, err)
	}
	return b.Bytes(), nil
}
