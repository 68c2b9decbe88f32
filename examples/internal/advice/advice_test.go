package advice_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/advice"
	"github.com/kmssign/kmssign/kmssigner"
)

func TestFor(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string // a part of the advice; empty: none
	}{
		{&types.DisabledException{}, "aws kms enable-key"},
		{&types.KMSInvalidStateException{Message: aws.String("KEY is pending deletion.")}, "aws kms cancel-key-deletion"},
		{&types.KMSInvalidStateException{Message: aws.String("KEY is creating.")}, ""},
		{kmssigner.ErrMessageLength, "shorten the message"},
		{&types.NotFoundException{}, ""},
		{errors.New("other"), ""},
		{nil, ""},
	} {
		err := tt.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if got := advice.For(err); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}
