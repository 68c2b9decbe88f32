// Livecheck compares AWS KMS with the fake of this module, on a key of your
// own. Run it once in your own account to find out whether KMS answers there as
// the fake does.
//
//	go -C examples run ./livecheck -key alias/token-signing
//
// It first checks a Signer on the key with kmstest.CheckSigner. Then it makes
// the same valid and invalid requests to KMS and to a fake with a key of the
// same spec, and compares the error codes, HTTP statuses and members of the
// answers. It prints a table of pass and differ. "text" is a pass in which only
// the wording of an error differs.
//
// It changes and creates nothing unless -create or -recordings is given. With
// -create it makes a key of that spec, checks the states of a key on it as
// well, and schedules it for deletion. AWS charges for each request. There are
// about a hundred, which cost less than a cent, and a key that -create makes
// costs a dollar a month, prorated. Livecheck needs permission for all
// operations that it calls. What IAM denies shows as a difference.
//
// With -recordings it makes the calls of the public recordings of KMS that the
// fake follows, to find out whether KMS still gives the same answers. It first
// lists the calls and the most that they can cost, and makes them only with
// -yes. It makes keys, aliases, tags, policies and grants of its own, does not
// touch others, and schedules each key for deletion. It prints the answers that
// differ in the format of internal/recordings/recordings.txt, so that they can
// be added there. A replica that is still Creating shows as a difference, and
// so does a new key that a Region does not know yet.
//
// Without -key, -create and -recordings it compares the fake with itself. The
// exit status is 0, 2 for a wrong command line, and 1 for a difference or any
// other failure.
package main

import (
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
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func main() { cli.Main("livecheck", run) }

const about = `
Livecheck compares AWS KMS with the fake KMS of this module, on a key of your own. It makes the same valid and invalid requests to both and prints which answers differ. It makes about a hundred requests, which AWS charges for. Without -key and -create it compares the fake with itself.

  livecheck -key alias/token-signing
  livecheck -create ECC_NIST_P256

With -recordings it makes the calls of the public recordings of KMS that the fake follows, on keys of its own. It first lists the calls and their price, and makes them only with -yes.
`

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	var key, create string
	var recorded, agreed bool
	var timeout time.Duration
	flags := cli.NewFlags("livecheck", stdio)
	flags.About = about
	flags.StringVar(&key, "key", "", "key `ID`, key ARN, alias name or alias ARN to compare with; none: the fake itself")
	flags.StringVar(&create, "create", "", "`KEY_SPEC` of a key to make, compare with in all its states, and schedule for deletion")
	flags.BoolVar(&recorded, "recordings", false, "list the calls of the public recordings and their price; with -yes, make them")
	flags.BoolVar(&agreed, "yes", false, "make the calls that -recordings lists")
	flags.PositiveVar(&timeout, "timeout", 5*time.Minute, "give up after this `time`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case key != "" && create != "":
		return cli.Usage(errors.New("-key and -create are both given, want one"))
	case recorded && key+create != "":
		return cli.Usage(errors.New("-recordings is given with -key or -create, want one"))
	case agreed && !recorded:
		return cli.Usage(errors.New("-yes is given without -recordings"))
	case create != "" && !slices.Contains(types.KeySpec("").Values(), types.KeySpec(create)):
		return cli.Usage(fmt.Errorf("unknown -create %q, want one of %s", create, types.KeySpec("").Values()))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var differences int
	var err error
	if recorded {
		differences, err = checkRecordings(ctx, agreed, stdio.Out)
	} else {
		differences, err = check(ctx, key, types.KeySpec(create), stdio.Out)
	}
	if err != nil {
		return err
	}
	if differences > 0 {
		return fmt.Errorf("%d differences", differences)
	}
	return nil
}

// check compares the answers and prints the table.
func check(ctx context.Context, keyID string, create types.KeySpec, stdout io.Writer) (differences int, err error) {
	client, stop, err := open(ctx, keyID, create)
	if err != nil {
		return 0, err
	}
	defer stop()
	states := create != "" || keyID == ""
	if keyID == "" && create == "" {
		create = types.KeySpecEccNistP256
	}
	if create != "" {
		out, err := client.CreateKey(ctx, &kms.CreateKeyInput{
			KeySpec: create, KeyUsage: usageOf(create), Description: aws.String("made by livecheck, to be deleted"),
		})
		if err != nil {
			return 0, err
		}
		keyID = aws.ToString(out.KeyMetadata.Arn)
		fmt.Fprintf(stdout, "made %s\n", keyID)
		// Do this even if the rest fails. A key that is already scheduled for
		// deletion is refused, which is fine.
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			_, deleteErr := client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{
				KeyId: &keyID, PendingWindowInDays: aws.Int32(7),
			})
			if _, scheduled := errors.AsType[*types.KMSInvalidStateException](deleteErr); deleteErr != nil && !scheduled {
				err = errors.Join(err, fmt.Errorf("delete %s yourself: %w", keyID, deleteErr))
			}
		}()
	}

	described, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &keyID})
	if err != nil {
		return 0, err
	}
	live := subject{api: client, key: described.KeyMetadata}
	twin, stopTwin, err := newTwin(ctx, live.key)
	if err != nil {
		return 0, err
	}
	defer stopTwin()
	fmt.Fprintf(stdout, "%s\n%s, %s\n\n", aws.ToString(live.key.Arn), live.key.KeySpec, live.key.KeyUsage)

	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	row := func(verdict, what, want, got string) {
		if verdict == "differ" {
			differences++
		}
		fmt.Fprintf(w, "%s\t%s\t%s", verdict, what, want)
		if verdict != "pass" {
			fmt.Fprintf(w, "\t%s", got)
		}
		fmt.Fprintln(w)
	}
	if live.key.KeyUsage == types.KeyUsageTypeSignVerify {
		signer, err := kmssigner.New(ctx, client, keyID)
		if err == nil {
			err = kmstest.CheckSigner(signer.WithContext(ctx))
		}
		if err == nil {
			row("pass", "CheckSigner", "keeps all promises", "")
		} else {
			row("differ", "CheckSigner", "keeps all promises", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	all := probes(live.key)
	if states {
		all = append(all, stateProbes(live.key)...)
	}
	for _, p := range all {
		want, got := p.on(ctx, &twin), p.on(ctx, &live)
		if err := ctx.Err(); err != nil {
			w.Flush()
			return differences, fmt.Errorf("%s: %w", p.name, err)
		}
		switch {
		case got.same(want) && got.text == want.text:
			row("pass", p.name, want.String(), "")
		case got.same(want):
			row("text", p.name, want.text, got.text)
		default:
			row("differ", p.name, want.String(), got.String())
		}
	}
	return differences, w.Flush()
}

// newTwin makes a key like the live one on a fake that is served over HTTP.
func newTwin(ctx context.Context, key *types.KeyMetadata) (subject, func(), error) {
	named, err := arn.Parse(aws.ToString(key.Arn))
	if err != nil {
		return subject{}, nil, fmt.Errorf("the key's ARN: %w", err)
	}
	fake := kmstest.New(func(o *kmstest.Options) { o.Region, o.AccountID = named.Region, named.AccountID })
	out, err := fake.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: key.KeySpec, KeyUsage: key.KeyUsage})
	if err != nil {
		return subject{}, nil, err
	}
	if key.KeyState == types.KeyStateDisabled {
		if _, err := fake.DisableKey(ctx, &kms.DisableKeyInput{KeyId: out.KeyMetadata.KeyId}); err != nil {
			return subject{}, nil, err
		}
	}
	server := kmstest.NewServer(fake)
	return subject{api: server.Client(), key: out.KeyMetadata}, server.Close, nil
}

// open returns a client of the user's KMS, or of a fake if no key is asked for.
func open(ctx context.Context, keyID string, create types.KeySpec) (*kms.Client, func(), error) {
	if keyID == "" && create == "" {
		server := kmstest.NewServer(kmstest.New())
		return server.Client(), server.Close, nil
	}
	cfg, err := cli.LoadConfig(ctx, cli.RegionOf(keyID), "give -key an ARN")
	if err != nil {
		return nil, nil, err
	}
	return kms.NewFromConfig(cfg), func() {}, nil
}

// usageOf returns a key usage of the spec, SIGN_VERIFY if keys of the spec can
// have it.
func usageOf(spec types.KeySpec) types.KeyUsageType {
	switch {
	case strings.HasPrefix(string(spec), "HMAC_"):
		return types.KeyUsageTypeGenerateVerifyMac
	case strings.HasPrefix(string(spec), "ML_KEM_"):
		return types.KeyUsageTypeEncapsulateDecapsulate
	case spec == types.KeySpecSymmetricDefault:
		return types.KeyUsageTypeEncryptDecrypt
	}
	return types.KeyUsageTypeSignVerify
}
