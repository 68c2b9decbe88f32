package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/internal/recordings"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// checkRecordings makes the calls of the recordings that the fake follows. It
// prints the answers of KMS that differ from the recordings. Unless agreed is
// true, it only lists the calls.
func checkRecordings(ctx context.Context, agreed bool, stdout io.Writer) (differences int, err error) {
	all, err := recordings.All()
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(r recordings.Recording) bool { return r.FakeOnly != "" })
	if err := list(ctx, all, stdout); err != nil || !agreed {
		return 0, err
	}
	cfg, err := cli.LoadConfig(ctx, "", "set AWS_REGION")
	if err != nil {
		return 0, err
	}
	account, err := accountOf(ctx, cfg)
	if err != nil {
		return 0, err
	}
	rows := 0
	for _, r := range all {
		c := &caller{cfg: cfg}
		target := recordings.Target{Account: account, Region: cfg.Region, Call: c.call}
		got, err := r.Replay(ctx, target)
		if err := errors.Join(c.clean(ctx), ctx.Err()); err != nil {
			return differences, err
		}
		if err != nil { // an answer lacks what the next call needs
			differences++
			fmt.Fprintf(stdout, "# %s %s of %s ends early: %v\n\n", r.Source, r.Test, r.Day, err)
		}
		rows += len(got)
		n := 0
		for _, row := range got {
			if row.Problem != "" && row.Reason == "" {
				n++
			}
		}
		if differences += n; n > 0 {
			fmt.Fprintf(stdout, "# %d of %d answers differ from %s %s of %s.\n%s\n", n, len(got), r.Source, r.Test, r.Day,
				r.Rewrite("kmssign/kmssign", time.Now().UTC().Format(time.DateOnly), got))
		}
	}
	fmt.Fprintf(stdout, "%d answers, %d differ\n", rows, differences)
	return differences, nil
}

// Prices in US dollars, from the public price list of us-east-1 in 2026. A key
// costs one dollar a month, charged by the hour, until its deletion is
// scheduled.
const (
	keyHour           = 1.0 / 730
	request           = 0.03 / 10000
	asymmetricRequest = 0.15 / 10000
)

// list prints the calls and the most that they can cost. It counts them on a
// fake.
func list(ctx context.Context, all []recordings.Recording, stdout io.Writer) error {
	server := kmstest.NewServer(kmstest.New())
	defer server.Close()
	c := &caller{cfg: server.Config()}
	target := recordings.Target{Account: "111122223333", Region: "us-east-1", Call: c.call}
	for _, r := range all {
		if _, err := r.Replay(ctx, target); err != nil {
			return err
		}
		if err := c.clean(ctx); err != nil {
			return err
		}
	}
	dollars := float64(c.keys) * keyHour
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, operation := range slices.Sorted(maps.Keys(c.calls)) {
		fmt.Fprintf(w, "%d\t %s\n", c.calls[operation], operation)
		price := request
		if operation == "Sign" || operation == "Verify" || operation == "GetPublicKey" {
			price = asymmetricRequest
		}
		dollars += price * float64(c.calls[operation])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d recordings, %d keys that are deleted after 7 days, at most USD %.2f\n", len(all), c.keys, dollars)
	return nil
}

// accountOf returns the account that the credentials of cfg belong to. KMS
// names it in the error for an alias that does not exist, which needs no
// further permission.
func accountOf(ctx context.Context, cfg aws.Config) (string, error) {
	_, err := kms.NewFromConfig(cfg).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/livecheck-does-not-exist")})
	if notFound, ok := errors.AsType[*types.NotFoundException](err); ok {
		if m := aliasARN.FindStringSubmatch(notFound.ErrorMessage()); m != nil {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("find the account of the credentials: %w", err)
}

var aliasARN = regexp.MustCompile(`arn:aws:kms:[^:]+:([0-9]{12}):alias/`)

// caller makes calls without the SDK's types, because the SDK would not send
// some of the bodies. It can undo them.
type caller struct {
	cfg aws.Config

	calls map[string]int // number of calls by operation
	keys  int            // number of keys made
	undo  []undo
}

// undo is a call that undoes another.
type undo struct{ region, operation, body string }

// call makes a call and remembers how to undo it. It repeats a call that KMS
// throttles.
func (c *caller) call(ctx context.Context, region, operation string, body []byte) (recordings.Answer, error) {
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	if operation == "DeleteAlias" && !slices.ContainsFunc(c.undo, func(u undo) bool { return u == undo{region, operation, string(body)} }) {
		return recordings.Answer{}, fmt.Errorf("refusing to delete an alias that this program did not make: %s", body)
	}
	for wait := 500 * time.Millisecond; ; wait *= 2 {
		c.calls[operation]++
		a, err := c.once(ctx, region, operation, body)
		if err != nil || !bytes.Contains(a.Body, []byte(`"ThrottlingException"`)) || wait > 10*time.Second {
			if err == nil && a.Status == http.StatusOK {
				err = c.remember(region, operation, body, a.Body)
			}
			return a, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return a, ctx.Err()
		}
	}
}

// once makes a call without repeating it.
func (c *caller) once(ctx context.Context, region, operation string, body []byte) (recordings.Answer, error) {
	endpoint := aws.ToString(kms.NewFromConfig(c.cfg).Options().BaseEndpoint)
	if endpoint == "" {
		resolved, err := kms.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, kms.EndpointParameters{Region: &region})
		if err != nil {
			return recordings.Answer{}, err
		}
		endpoint = resolved.URI.String()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(endpoint, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return recordings.Answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "TrentService."+operation)
	credentials, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return recordings.Answer{}, err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "kms", region, time.Now()); err != nil {
		return recordings.Answer{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return recordings.Answer{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return recordings.Answer{Status: resp.StatusCode, Body: answer}, err
}

// remember notes how to undo a call that made something.
func (c *caller) remember(region, operation string, body, answer []byte) error {
	var in struct{ AliasName, ReplicaRegion string }
	var out struct{ KeyMetadata, ReplicaKeyMetadata struct{ KeyId string } }
	switch operation {
	case "CreateAlias":
		if err := json.Unmarshal(body, &in); err != nil {
			return err
		}
		c.undo = append(c.undo, undo{region, "DeleteAlias", fmt.Sprintf(`{"AliasName":%q}`, in.AliasName)})
		return nil
	case "CreateKey", "ReplicateKey":
		if err := errors.Join(json.Unmarshal(body, &in), json.Unmarshal(answer, &out)); err != nil {
			return err
		}
		if in.ReplicaRegion != "" {
			region = in.ReplicaRegion
		}
		c.keys++
		c.undo = append(c.undo, undo{region, "ScheduleKeyDeletion",
			fmt.Sprintf(`{"KeyId":%q,"PendingWindowInDays":7}`, out.KeyMetadata.KeyId+out.ReplicaKeyMetadata.KeyId)})
	}
	return nil
}

// clean deletes what the calls have made, in reverse order, even if ctx has
// ended. It is not an error if a recording has deleted something itself.
func (c *caller) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	for _, u := range slices.Backward(c.undo) {
		a, err := c.call(ctx, u.region, u.operation, []byte(u.body))
		gone := bytes.Contains(a.Body, []byte(`"NotFoundException"`)) || bytes.Contains(a.Body, []byte(`"KMSInvalidStateException"`))
		if err == nil && a.Status != http.StatusOK && !gone {
			err = errors.New(string(a.Body))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s in %s yourself: %w", u.operation, u.body, u.region, err))
		}
	}
	c.undo = nil
	return errors.Join(errs...)
}
