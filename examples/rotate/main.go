// Rotate takes one step of the rotation of a token issuer's KMS key, or says
// how far the rotation is.
//
// Without -alias it tells the story of a rotation, a rollback and an emergency
// on a fake KMS that runs inside the program. It moves the clock of the story,
// so it does not wait, and needs no AWS account. With -alias it uses the
// ordinary AWS configuration: environment, profiles, roles, and
// AWS_ENDPOINT_URL_KMS for an emulator.
//
//	go -C examples run ./rotate
//	go -C examples run ./rotate -alias alias/jwt
//	go -C examples run ./rotate -alias alias/jwt -step prepare
//	go -C examples run ./rotate -alias alias/jwt -step promote -dry-run
//	go -C examples run ./rotate -alias alias/jwt -step revoke -key 1234abcd-12ab-34cd-56ef-1234567890ab
//	go -C examples run ./rotate -alias alias/jwt -regions eu-west-1,eu-central-1 -step prepare
//
// The steps are those of package keyring. prepare makes the next key, promote
// signs with it, and retire disables the previous one. rollback goes back to
// the previous key, and revoke takes a compromised key out of use. advance
// takes the step that is due, and is meant for a cron job. A step that is taken
// again does what is left to do, if anything. The times that the flags set must
// be those of the issuers. docs/rotation.md says when to take which step.
//
// With -regions, each step is taken in all Regions of a ring of multi-Region
// keys. If a step was interrupted between two Regions, take it again to finish
// it.
//
// The changes go to standard output, one on each line, or with -json as one
// JSON object. The exit status is 0, 2 for a wrong command line, and 1 for any
// other failure, including a step that comes too early.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms/keyring"
)

// status is the value of -step that changes nothing.
const status keyring.Step = "status"

// steps are the values of -step that change something.
var steps = []keyring.Step{keyring.Prepare, keyring.Promote, keyring.Retire, keyring.Rollback, keyring.Revoke, keyring.Advance}

func main() { cli.Main("rotate", run) }

const about = `
Rotate rotates the KMS key behind an alias that an issuer of JWTs signs with. Without -step it shows how far the rotation is and which step is next. Without -alias it tells the story of a rotation, a rollback and an emergency on an embedded fake KMS, and needs no AWS account.

  rotate -alias alias/jwt
  rotate -alias alias/jwt -step prepare -dry-run
  rotate -alias alias/jwt -step revoke -key KEY_ID
  rotate -alias alias/jwt -regions eu-west-1,eu-central-1
`

// request is what the command line asks for.
type request struct {
	alias   string
	regions []string // all Regions of the ring; none: the configured one
	step    keyring.Step
	spec    types.KeySpec // of the new key; empty: that of the signing key
	opts    keyring.RotateOptions
	json    bool
	timeout time.Duration
}

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	req, err := parse(args, stdio)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, req.timeout)
	defer cancel()
	if req.alias == "" {
		return demonstrate(ctx, req, stdio.Out)
	}
	client, others, signing, err := open(ctx, req)
	if err != nil {
		return err
	}
	req.opts.Regions = others
	if req.step == status {
		return show(ctx, client, signing, req, time.Now(), stdio.Out)
	}
	return take(ctx, client, signing, req, stdio.Out)
}

func parse(args []string, stdio cli.Stdio) (request, error) {
	var req request
	flags := cli.NewFlags("rotate", stdio)
	flags.About = about
	flags.StringVar(&req.alias, "alias", "", "`alias` name or alias ARN of the signing key; none: a demonstration on the embedded fake KMS")
	regions := flags.String("regions", "", "all `Regions` of a ring of multi-Region keys, separated by commas and always in the same order (default: the ring is in the configured Region)")
	step := flags.String("step", "", "`step` to take: "+join(steps)+", or status, which changes nothing (default: status)")
	flags.StringVar(&req.opts.Key, "key", "", "`ID` or ARN of the key that -step revoke revokes")
	flags.BoolVar(&req.opts.DryRun, "dry-run", false, "say what the step would do, and do nothing")
	flags.BoolVar(&req.opts.Force, "force", false, "take the step even if it comes too early or verifiers may not know the type of the new key, which can make tokens fail")
	flags.BoolVar(&req.json, "json", false, "write JSON")
	flags.BoolVar(&req.opts.Leftovers, "leftovers", false, "with -step status, search all keys of the account for keys that were made for the ring and have no alias")
	flags.DurationVar(&req.opts.MaxKeyAge, "max-key-age", 0, "`time` after which -step advance starts the next rotation (default: it starts none)")
	flags.BoolVar(&req.opts.Standby, "standby", false, "with -step advance, keep the next key prepared until -max-key-age")
	spec := flags.String("spec", "", "`key spec` of a new key, such as ECC_NIST_P256 (default: that of the signing key)")
	flags.StringVar(&req.opts.Next, "next", "", "`alias` of the next key (default: that of -alias with -next appended)")
	flags.StringVar(&req.opts.Previous, "previous", "", "`alias` of the previous key (default: that of -alias with -prev appended)")
	flags.PositiveVar(&req.opts.RefreshInterval, "refresh-interval", 5*time.Minute, "`time` after which issuers read the aliases again")
	flags.PositiveVar(&req.opts.MaxAge, "max-age", 5*time.Minute, "`time` for which verifiers may cache the public keys")
	flags.PositiveVar(&req.opts.MaxLifetime, "max-lifetime", time.Hour, "longest `time` from issue to expiry of a token")
	flags.DurationVar(&req.opts.PropagationDelay, "propagation-delay", 0, "`time` for which a key is published before it signs (default: -refresh-interval, -max-age and -slack together)")
	flags.PositiveVar(&req.opts.Slack, "slack", time.Minute, "`time` to allow for delays of KMS, differences of clocks and the reading of the aliases")
	flags.PositiveVar(&req.timeout, "timeout", 30*time.Second, "give up after this `time`")
	if err := flags.Parse(args); err != nil {
		return req, err
	}
	req.step, req.spec = keyring.Step(cmp.Or(*step, string(status))), types.KeySpec(*spec)
	if *regions != "" {
		req.regions = strings.Split(*regions, ",")
	}
	if err := req.check(*step != ""); err != nil {
		return req, cli.Usage(err)
	}
	return req, nil
}

func join(steps []keyring.Step) string {
	var names []string
	for _, step := range steps {
		names = append(names, string(step))
	}
	return strings.Join(names, ", ")
}

// check returns an error unless the flags go together. hasStep says whether
// -step was given.
func (req *request) check(hasStep bool) error {
	o := &req.opts
	switch {
	case req.step != status && !slices.Contains(steps, req.step):
		return fmt.Errorf("unknown -step %q, want one of %s or status", req.step, join(steps))
	case req.alias == "" && (hasStep || o.DryRun || o.Force || o.Leftovers || req.json || o.Next != "" || o.Previous != "" || o.Key != "" || req.regions != nil):
		return errors.New("-step, -key, -dry-run, -force, -json, -leftovers, -next, -previous and -regions want an -alias; without one the program runs a demonstration")
	case req.alias != "" && req.step == status && (o.DryRun || o.Force):
		return fmt.Errorf("-dry-run and -force want a -step: %s", join(steps))
	case req.step == keyring.Revoke && o.Key == "":
		return errors.New("-step revoke wants the -key to revoke, so that the step can be taken again without revoking the replacement")
	case req.step != keyring.Revoke && o.Key != "":
		return errors.New("-key goes with -step revoke")
	case cli.IsAlias(o.Key):
		return fmt.Errorf("-key is %q, want a key ID or a key ARN, because an alias may name another key later", o.Key)
	case o.Leftovers && req.step != status:
		return errors.New("-leftovers goes with -step status")
	case (o.Standby || o.MaxKeyAge != 0) && req.step != keyring.Advance:
		return errors.New("-max-key-age and -standby go with -step advance")
	case o.MaxKeyAge < 0 || o.PropagationDelay < 0:
		return fmt.Errorf("-max-key-age is %v and -propagation-delay %v, want 0 or more", o.MaxKeyAge, o.PropagationDelay)
	case req.spec != "" && req.alias != "" && !slices.Contains([]keyring.Step{keyring.Prepare, keyring.Revoke, keyring.Advance}, req.step):
		return errors.New("-spec goes with a step that makes a key: prepare, revoke or advance")
	case req.spec != "" && !signs(req.spec):
		return fmt.Errorf("-spec is %q, want one that signs: an RSA, ECC_NIST, ECC_SECG or ML_DSA key spec", req.spec)
	}
	for _, a := range []struct{ flag, name string }{{"next", o.Next}, {"previous", o.Previous}} {
		if a.name != "" && !strings.HasPrefix(a.name, "alias/") {
			return fmt.Errorf("-%s is %q, want an alias name, such as alias/jwt-%[1]s", a.flag, a.name)
		}
	}
	if req.alias != "" && !cli.IsAlias(req.alias) {
		return fmt.Errorf("-alias is %q, want an alias, such as alias/jwt, because only an alias can be pointed to another key", req.alias)
	}
	if err := req.checkAliases(); err != nil {
		return err
	}
	return req.checkRegions()
}

// checkAliases returns an error if two of -alias, -next and -previous name the
// same alias, each with its default.
func (req *request) checkAliases() error {
	if req.alias == "" {
		return nil
	}
	signing := req.alias
	if named, err := arn.Parse(signing); err == nil {
		signing = named.Resource
	}
	next, previous := cmp.Or(req.opts.Next, signing+"-next"), cmp.Or(req.opts.Previous, signing+"-prev")
	switch {
	case next == signing:
		return fmt.Errorf("-alias and -next are both %s, want two aliases", next)
	case previous == signing:
		return fmt.Errorf("-alias and -previous are both %s, want two aliases", previous)
	case next == previous:
		return fmt.Errorf("-next and -previous are both %s, want two aliases", next)
	}
	return nil
}

// checkRegions returns an error unless -regions names two Regions or more, each
// once, and the Region of an alias ARN first.
func (req *request) checkRegions() error {
	if req.regions == nil {
		return nil
	}
	sorted := slices.Sorted(slices.Values(req.regions))
	if len(sorted) < 2 || len(slices.Compact(slices.Clone(sorted))) < len(sorted) || sorted[0] == "" {
		return fmt.Errorf("-regions is %q, want two Regions or more, each once, such as eu-west-1,eu-central-1", strings.Join(req.regions, ","))
	}
	if named := cli.RegionOf(req.alias); named != "" && named != req.regions[0] {
		return fmt.Errorf("-alias is in %s and -regions begins with %s, want the same", named, req.regions[0])
	}
	return nil
}

// signs reports whether an issuer can sign with keys of the spec.
func signs(spec types.KeySpec) bool {
	return slices.Contains(spec.Values(), spec) && slices.ContainsFunc([]string{"RSA_", "ECC_", "ML_DSA_"}, func(prefix string) bool {
		return strings.HasPrefix(string(spec), prefix)
	})
}

// open returns a client for the user's KMS, those for the other Regions, and
// the name of the signing alias there.
func open(ctx context.Context, req request) (client *kms.Client, others []keyring.AdminClient, signing string, err error) {
	region := cli.RegionOf(req.alias)
	if req.regions != nil {
		region = req.regions[0]
	}
	cfg, err := cli.LoadConfig(ctx, region, "give -alias an ARN")
	if err != nil {
		return nil, nil, "", err
	}
	client = kms.NewFromConfig(cfg)
	for i := 1; i < len(req.regions); i++ {
		others = append(others, kms.NewFromConfig(cfg, func(o *kms.Options) { o.Region = req.regions[i] }))
	}
	named, err := arn.Parse(req.alias)
	if err != nil {
		return client, others, req.alias, nil
	}
	// KMS moves an alias by its name, in the caller's account. Make sure that
	// this is the account of the ARN.
	var out *kms.DescribeKeyOutput
	for _, c := range append([]keyring.AdminClient{client}, others...) {
		if out, err = c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &named.Resource}); err == nil {
			break // one Region that answers is enough
		}
	}
	if err != nil {
		return nil, nil, "", err
	}
	if account := aws.ToString(out.KeyMetadata.AWSAccountId); account != named.AccountID {
		return nil, nil, "", fmt.Errorf("%s is not in the account of the credentials, %s", req.alias, account)
	}
	return client, others, named.Resource, nil
}

// outcome is what a step did, for -json.
type outcome struct {
	Step     keyring.Step `json:"step"`
	DryRun   bool         `json:"dryRun"`
	Done     []string     `json:"done"`
	TooEarly bool         `json:"tooEarly"`
	Error    string       `json:"error,omitempty"`
}

// take takes one step and writes what it did, even if the step fails halfway.
func take(ctx context.Context, client keyring.AdminClient, signing string, req request, stdout io.Writer) error {
	newKey, err := newKey(ctx, client, signing, req)
	if err != nil {
		return err
	}
	done, err := keyring.Rotate(ctx, client, signing, req.step, func(o *keyring.RotateOptions) {
		*o = req.opts
		o.NewKey = newKey
	})
	if req.json {
		out := outcome{Step: req.step, DryRun: req.opts.DryRun, Done: append([]string{}, done...), TooEarly: errors.Is(err, keyring.ErrTooEarly)}
		if err != nil {
			out.Error = err.Error()
		}
		return errors.Join(err, writeJSON(stdout, out))
	}
	would := ""
	if req.opts.DryRun {
		would = "would "
	}
	for _, change := range done {
		fmt.Fprintf(stdout, "%s%s\n", would, change)
	}
	if err == nil && len(done) == 0 {
		_, err = fmt.Fprintf(stdout, "nothing to do for %s\n", req.step)
	}
	return err
}

// newKey returns the input with which a key of -spec is made, or nil without
// -spec.
func newKey(ctx context.Context, client keyring.AdminClient, signing string, req request) (*kms.CreateKeyInput, error) {
	if req.spec == "" {
		return nil, nil
	}
	in := &kms.CreateKeyInput{KeySpec: req.spec, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true)}
	if req.regions != nil {
		return in, nil
	}
	out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &signing})
	if err != nil {
		return nil, err
	}
	in.MultiRegion = out.KeyMetadata.MultiRegion
	return in, nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
