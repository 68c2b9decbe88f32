// Rotate takes one step of the rotation of a token issuer's KMS key, or says how far
// the rotation is.
//
// Without -alias it rotates a key on a fake KMS that runs inside the program, from the
// first step to the last and without waiting in between, and shows where the aliases
// point: no AWS account is needed. With -alias it uses the ordinary AWS configuration:
// environment, profiles, roles, and AWS_ENDPOINT_URL_KMS for an emulator.
//
//	go -C examples run ./rotate
//	go -C examples run ./rotate -alias alias/jwt
//	go -C examples run ./rotate -alias alias/jwt -step prepare
//	go -C examples run ./rotate -alias alias/jwt -step promote -dry-run
//
// The steps are those of package keyring: prepare makes the next key and publishes it,
// promote signs with it, retire disables the previous one. Each can be taken again and
// does what is left to do, if anything. The flags that are times must be those of the
// issuers.
//
// What was done goes to standard output, one line for each change. The exit status is 0,
// 2 for a wrong command line, and 1 for any other failure: also for a step that comes
// too early, which -force takes nevertheless.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// status is the -step that changes nothing.
const status keyring.Step = "status"

// steps are in the order of a rotation.
var steps = []keyring.Step{keyring.Prepare, keyring.Promote, keyring.Retire}

func main() { cli.Main("rotate", run) }

// request is what the command line asks for.
type request struct {
	alias   string
	step    keyring.Step
	spec    types.KeySpec // of the new key; empty: that of the signing key
	opts    keyring.RotateOptions
	timeout time.Duration
}

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	req, err := parse(args, stdio)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, req.timeout)
	defer cancel()
	act := rotate
	switch {
	case req.alias == "":
		act = demonstrate
	case req.step == status:
		act = show
	}
	return act(ctx, req, stdio.Out)
}

func parse(args []string, stdio cli.Stdio) (request, error) {
	var req request
	flags := cli.NewFlags("rotate", stdio)
	flags.StringVar(&req.alias, "alias", "", "`alias` name or alias ARN of the signing key; none: a demonstration on the embedded fake KMS")
	step := flags.String("step", "", "`step` to take: prepare, promote or retire, or status, which changes nothing (default: status)")
	flags.BoolVar(&req.opts.DryRun, "dry-run", false, "say what the step would do, and do nothing")
	flags.BoolVar(&req.opts.Force, "force", false, "take the step even if it makes tokens fail because it comes too early")
	spec := flags.String("spec", "", "`key spec` of the new key, such as ECC_NIST_P256 (default: that of the signing key)")
	flags.StringVar(&req.opts.Next, "next", "", "`alias` of the next key (default: that of -alias with -next appended)")
	flags.StringVar(&req.opts.Previous, "previous", "", "`alias` of the previous key (default: that of -alias with -prev appended)")
	flags.PositiveVar(&req.opts.RefreshInterval, "refresh-interval", 5*time.Minute, "`time` between two looks of an issuer at the aliases")
	flags.PositiveVar(&req.opts.MaxAge, "max-age", 5*time.Minute, "`time` for which verifiers may cache the public keys")
	flags.PositiveVar(&req.opts.MaxLifetime, "max-lifetime", time.Hour, "longest `time` from issue to expiry of a token")
	flags.DurationVar(&req.opts.PropagationDelay, "propagation-delay", 0, "`time` for which a key is published before it signs (default: -refresh-interval, -max-age and -slack together)")
	flags.PositiveVar(&req.opts.Slack, "slack", time.Minute, "`time` that KMS may be late, clocks may differ and a look may take")
	flags.PositiveVar(&req.timeout, "timeout", 30*time.Second, "give up after this `time`")
	if err := flags.Parse(args); err != nil {
		return req, err
	}
	req.step, req.spec = keyring.Step(cmp.Or(*step, string(status))), types.KeySpec(*spec)
	if err := req.check(*step != ""); err != nil {
		return req, cli.Usage(err)
	}
	return req, nil
}

// check returns an error unless the flags go together. hasStep says whether -step
// was given.
func (req *request) check(hasStep bool) error {
	switch {
	case req.step != status && !slices.Contains(steps, req.step):
		return fmt.Errorf("unknown -step %q, want prepare, promote, retire or status", req.step)
	case req.alias == "" && (hasStep || req.opts.DryRun || req.opts.Force || req.opts.Next != "" || req.opts.Previous != ""):
		return errors.New("-step, -dry-run, -force, -next and -previous want an -alias; without one there is a demonstration")
	case req.alias != "" && req.step == status && (req.opts.DryRun || req.opts.Force):
		return errors.New("-dry-run and -force want a -step: prepare, promote or retire")
	case req.spec != "" && req.alias != "" && req.step != keyring.Prepare:
		return errors.New("-spec goes with -step prepare, which makes the key")
	case req.spec != "" && !signs(req.spec):
		return fmt.Errorf("-spec is %q, want one that signs: an RSA, ECC_NIST, ECC_SECG or ML_DSA key spec", req.spec)
	case req.opts.PropagationDelay < 0:
		return fmt.Errorf("-propagation-delay is %v, want 0 or more", req.opts.PropagationDelay)
	}
	for _, a := range []struct{ flag, name string }{{"next", req.opts.Next}, {"previous", req.opts.Previous}} {
		if a.name != "" && !strings.HasPrefix(a.name, "alias/") {
			return fmt.Errorf("-%s is %q, want an alias name, such as alias/jwt-%[1]s", a.flag, a.name)
		}
	}
	if req.alias != "" && !cli.IsAlias(req.alias) {
		return fmt.Errorf("-alias is %q, want an alias, such as alias/jwt: only an alias can be pointed to another key", req.alias)
	}
	return nil
}

// signs reports whether an issuer can sign with keys of the spec.
func signs(spec types.KeySpec) bool {
	return slices.Contains(spec.Values(), spec) && slices.ContainsFunc([]string{"RSA_", "ECC_", "ML_DSA_"}, func(prefix string) bool {
		return strings.HasPrefix(string(spec), prefix)
	})
}

// open returns a client for the user's KMS, and the name of the signing alias there.
func open(ctx context.Context, req request) (client *kms.Client, signing string, err error) {
	cfg, err := cli.LoadConfig(ctx, cli.RegionOf(req.alias), "give -alias an ARN")
	if err != nil {
		return nil, "", err
	}
	named, err := arn.Parse(req.alias)
	if err != nil {
		return kms.NewFromConfig(cfg), req.alias, nil
	}
	// KMS moves aliases by their names alone, in the caller's account: it must be
	// the ARN's.
	client = kms.NewFromConfig(cfg)
	out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &named.Resource})
	if err != nil {
		return nil, "", err
	}
	if account := aws.ToString(out.KeyMetadata.AWSAccountId); account != named.AccountID {
		return nil, "", fmt.Errorf("%s is in another account than the credentials' own, %s", req.alias, account)
	}
	return client, named.Resource, nil
}

// rotate takes the step.
func rotate(ctx context.Context, req request, stdout io.Writer) error {
	client, signing, err := open(ctx, req)
	if err != nil {
		return err
	}
	newKey, err := newKey(ctx, client, signing, req.spec)
	if err != nil {
		return err
	}
	return take(ctx, client, signing, req.step, newKey, req.opts, stdout)
}

// newKey is what a key of another spec than the signing key's is made with, or nil.
func newKey(ctx context.Context, client keyring.AdminClient, signing string, spec types.KeySpec) (*kms.CreateKeyInput, error) {
	if spec == "" {
		return nil, nil
	}
	out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &signing})
	if err != nil {
		return nil, err
	}
	return &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: out.KeyMetadata.MultiRegion}, nil
}

// take takes one step and says what it did, also where it did not come to an end.
func take(ctx context.Context, client keyring.AdminClient, signing string, step keyring.Step, newKey *kms.CreateKeyInput, opts keyring.RotateOptions, stdout io.Writer) error {
	done, err := keyring.Rotate(ctx, client, signing, step, func(o *keyring.RotateOptions) {
		*o = opts
		o.NewKey = newKey
	})
	would := ""
	if opts.DryRun {
		would = "would "
	}
	for _, change := range done {
		fmt.Fprintf(stdout, "%s%s\n", would, change)
	}
	if err == nil && len(done) == 0 {
		_, err = fmt.Fprintf(stdout, "nothing to do for %s\n", step)
	}
	return err
}

// show says where the aliases point, and what comes next.
func show(ctx context.Context, req request, stdout io.Writer) error {
	client, signing, err := open(ctx, req)
	if err != nil {
		return err
	}
	return describe(ctx, client, signing, req.opts, stdout)
}

// alias is where an alias points.
type alias struct {
	name  string
	key   *types.KeyMetadata // nil: there is no such alias
	since time.Time          // zero: unknown
}

func (a alias) is(b alias) bool {
	return a.key != nil && b.key != nil && aws.ToString(a.key.Arn) == aws.ToString(b.key.Arn)
}

func describe(ctx context.Context, client keyring.AdminClient, signing string, opts keyring.RotateOptions, stdout io.Writer) error {
	names := []string{signing, cmp.Or(opts.Next, signing+"-next"), cmp.Or(opts.Previous, signing+"-prev")}
	aliases := make([]alias, len(names))
	for i, name := range names {
		a, err := lookUp(ctx, client, name)
		if err != nil {
			return err
		}
		aliases[i] = a
	}
	if aliases[0].key == nil {
		return fmt.Errorf("there is no %s: create a key and the alias first", signing)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ALIAS\tKEY\tSPEC\tSTATE\tSINCE")
	for _, a := range aliases {
		if a.key == nil {
			fmt.Fprintf(w, "%s\t-\t-\t-\t-\n", a.name)
			continue
		}
		since := "?"
		if !a.since.IsZero() {
			since = a.since.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.name, aws.ToString(a.key.KeyId), a.key.KeySpec, a.key.KeyState, since)
	}
	w.Flush()
	next, err := next(ctx, client, signing, aliases[0], aliases[1], aliases[2], opts)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\nnext: %s\n", b.String(), next)
	return err
}

func lookUp(ctx context.Context, client keyring.AdminClient, name string) (alias, error) {
	out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &name})
	if _, absent := errors.AsType[*types.NotFoundException](err); absent {
		return alias{name: name}, nil
	}
	if err != nil {
		return alias{}, err
	}
	a := alias{name: name, key: out.KeyMetadata}
	pages := kms.NewListAliasesPaginator(client, &kms.ListAliasesInput{KeyId: out.KeyMetadata.Arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return alias{}, err
		}
		for _, entry := range page.Aliases {
			if aws.ToString(entry.AliasName) == name && entry.LastUpdatedDate != nil {
				a.since = *entry.LastUpdatedDate
			}
		}
	}
	return a, nil
}

// next says which step comes next, and whether it can be taken now. That Rotate knows,
// which has the timing: it is asked in a dry run.
func next(ctx context.Context, client keyring.AdminClient, signing string, current, next, previous alias, opts keyring.RotateOptions) (string, error) {
	step := keyring.Prepare
	switch {
	case next.key != nil && !next.is(current):
		step = keyring.Promote
	case previous.key != nil && !previous.is(current):
		step = keyring.Retire
	}
	opts.DryRun, opts.Force = true, false
	_, err := keyring.Rotate(ctx, client, signing, step, func(o *keyring.RotateOptions) { *o = opts })
	if errors.Is(err, keyring.ErrTooEarly) {
		// The sentence, without what led to it.
		_, why, _ := strings.Cut(err.Error(), string(step)+": ")
		return fmt.Sprintf("%s, but now is %s", step, why), nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, now or at any time", step), nil
}

// demonstrate rotates a key of a fake KMS.
func demonstrate(ctx context.Context, req request, stdout io.Writer) error {
	fake, signing, err := cli.NewFake(ctx)
	if err != nil {
		return err
	}
	server := kmstest.NewServer(fake)
	defer server.Close()
	client := server.Client()
	if err := describe(ctx, client, signing, req.opts, stdout); err != nil {
		return err
	}
	newKey, err := newKey(ctx, client, signing, req.spec)
	if err != nil {
		return err
	}
	for _, step := range steps {
		fmt.Fprintf(stdout, "\n$ rotate -alias %s -step %s -force\n", signing, step)
		opts := req.opts
		opts.Force = true
		if err := take(ctx, client, signing, step, newKey, opts, stdout); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "\n$ rotate -alias %s\n", signing)
		if err := describe(ctx, client, signing, req.opts, stdout); err != nil {
			return err
		}
	}
	return nil
}
