package answerlimit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// answer is an HTTPClient that gives one answer, of a known or unknown length.
type answer struct {
	body        string
	knownLength bool
	oneByte     bool // each Read returns one byte
	read        int
}

func (a *answer) Do(*http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: -1}
	if a.knownLength {
		resp.ContentLength = int64(len(a.body))
	}
	var body io.Reader = strings.NewReader(a.body)
	if a.oneByte {
		body = iotest.OneByteReader(body)
	}
	resp.Body = io.NopCloser(&counter{body, &a.read})
	return resp, nil
}

type counter struct {
	io.Reader
	n *int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += n
	return n, err
}

// TestLimits has answers that are as long as allowed, and longer by one byte.
func TestLimits(t *testing.T) {
	call := func(a *answer, operation string, option func(*kms.Options)) error {
		client := kms.New(kms.Options{
			Region: "us-east-1", HTTPClient: a, Retryer: aws.NopRetryer{},
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET"}, nil
			}),
		})
		if operation == "ListAliases" {
			_, err := client.ListAliases(t.Context(), &kms.ListAliasesInput{}, option)
			return err
		}
		// A second option that adds a limit changes nothing.
		_, err := client.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: aws.String("alias/a")}, option, ListingOption)
		return err
	}
	for _, tt := range []struct {
		operation string
		option    func(*kms.Options)
		limit     int
	}{
		{"GetPublicKey", Option, 64 << 10},
		{"ListAliases", ListingOption, 1 << 20},
	} {
		for _, known := range []bool{true, false} {
			for _, oneByte := range []bool{true, false} {
				name := fmt.Sprintf("%s, known length %v, one byte at a time %v", tt.operation, known, oneByte)
				fits := "{" + strings.Repeat(" ", tt.limit-2) + "}"
				if err := call(&answer{body: fits, knownLength: known, oneByte: oneByte}, tt.operation, tt.option); err != nil {
					t.Errorf("%s: an answer of %d bytes: %v", name, len(fits), err)
				}
				long := &answer{body: fits + " ", knownLength: known, oneByte: oneByte}
				if err := call(long, tt.operation, tt.option); !errors.Is(err, ErrTooLarge) {
					t.Errorf("%s: an answer of %d bytes: %v, want ErrTooLarge", name, len(long.body), err)
				}
				if known && long.read != 0 {
					t.Errorf("%s: %d bytes were read of an answer that is refused for its length", name, long.read)
				}
				endless := &answer{body: strings.Repeat(" ", 4*tt.limit), oneByte: oneByte}
				if err := call(endless, tt.operation, tt.option); !errors.Is(err, ErrTooLarge) || endless.read > tt.limit+1 {
					t.Errorf("%s: %v after %d bytes, want ErrTooLarge after at most %d", name, err, endless.read, tt.limit+1)
				}
			}
		}
	}
}
