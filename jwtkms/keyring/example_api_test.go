package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// fakeKMS returns a fake KMS with a new key behind alias/jwt. The client has the
// interfaces that the package needs, which *kms.Client has too.
func fakeKMS(ctx context.Context) interface {
	keyring.Client
	keyring.AdminClient
	keyring.InspectClient
} {
	fake := kmstest.New()
	_, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{
		AliasName:   aws.String("alias/jwt"),
		TargetKeyId: aws.String(fake.AddKey(types.KeySpecEccNistP256)),
	})
	if err != nil {
		log.Fatal(err)
	}
	return fake
}

// This example is a service that issues access tokens (RFC 9068) for at most ten
// minutes and whose refreshes may fail for an hour.
func ExampleNew() {
	ctx := context.Background()
	ring, err := keyring.New(ctx, fakeKMS(ctx), "alias/jwt", func(o *keyring.Options) {
		o.MaxLifetime = 10 * time.Minute
		o.PropagationDelay = time.Hour + 11*time.Minute
		o.OnChange = func(from, to keyring.Key) { log.Printf("%s signs in place of %s", to.KID, from.KID) }
	})
	if err != nil {
		log.Fatal(err)
	}
	claims := jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(5 * time.Minute).Unix()}
	compact, err := ring.Sign(ctx, claims, func(header map[string]any) { header["typ"] = "at+jwt" })
	if err != nil {
		log.Fatal(err)
	}
	token, err := jwt.Parse(compact, ring.Keyfunc)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Header["typ"], token.Header["alg"], token.Valid)

	claims["exp"] = time.Now().Add(time.Hour).Unix()
	_, err = ring.Sign(ctx, claims)
	fmt.Println(errors.Is(err, keyring.ErrLifetime))
	// Output:
	// at+jwt ES256 true
	// true
}

// This example signs claims that another program has marshaled. The token has
// their bytes.
func ExampleRing_SignPayload() {
	ctx := context.Background()
	ring, err := keyring.New(ctx, fakeKMS(ctx), "alias/jwt")
	if err != nil {
		log.Fatal(err)
	}
	payload := fmt.Appendf(nil, `{"sub": "alice", "quota": 1e2, "exp": %d}`, time.Now().Add(time.Minute).Unix())
	compact, err := ring.SignPayload(ctx, payload)
	if err != nil {
		log.Fatal(err)
	}
	token, err := jwt.Parse(compact, ring.Keyfunc)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Valid)
	// Output: true
}

// This example shows what verifiers get, and refreshes by hand, as a test may.
// A service calls [keyring.Ring.Run] instead.
func ExampleRing_ServeHTTP() {
	ctx := context.Background()
	client := fakeKMS(ctx)
	ring, err := keyring.New(ctx, client, "alias/jwt")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := keyring.Rotate(ctx, client, "alias/jwt", keyring.Prepare); err != nil {
		log.Fatal(err)
	}
	if err := ring.Refresh(ctx); err != nil {
		log.Fatal(err)
	}
	for _, key := range ring.Keys() {
		fmt.Println(key.Alg)
	}

	w := httptest.NewRecorder()
	ring.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	fmt.Println(w.Code, w.Header().Get("Cache-Control"))
	// Output:
	// ES256
	// ES256
	// 200 public, max-age=300
}

// This example is what an operator's dashboard may show.
func ExampleInspect() {
	ctx := context.Background()
	client := fakeKMS(ctx)
	if _, err := keyring.Rotate(ctx, client, "alias/jwt", keyring.Prepare); err != nil {
		log.Fatal(err)
	}
	status, err := keyring.Inspect(ctx, client, "alias/jwt")
	if err != nil {
		log.Fatal(err)
	}
	switch status.State {
	case keyring.Rest:
		fmt.Println("one key")
	case keyring.Prepared, keyring.Promoted:
		fmt.Println("the next step is", status.Step, "in", status.Wait.Round(time.Minute))
	case keyring.RolledBack:
		fmt.Println("look at the key of", status.Next.Name)
	case keyring.Mixed, keyring.Unclear:
		fmt.Println("look at", status.Odd)
	}
	for _, alias := range []keyring.AliasStatus{status.Signing, status.Next} {
		fmt.Println(alias.Name, alias.KeySpec, alias.KeyState)
	}
	// Output:
	// the next step is promote in 11m0s
	// alias/jwt ECC_NIST_P256 Enabled
	// alias/jwt-next ECC_NIST_P256 Enabled
}

// This example takes all steps of a rotation at once, which Force allows. In
// production, leave Force out. Rotate then refuses a step that is too early.
func ExampleRotate_steps() {
	ctx := context.Background()
	client := fakeKMS(ctx)
	take := func(step keyring.Step, optFns ...func(*keyring.RotateOptions)) error {
		_, err := keyring.Rotate(ctx, client, "alias/jwt", step, optFns...)
		return err
	}
	force := func(o *keyring.RotateOptions) { o.Force = true }

	fmt.Println(take(keyring.Prepare))
	fmt.Println(errors.Is(take(keyring.Promote), keyring.ErrTooEarly))
	fmt.Println(take(keyring.Promote, force))
	fmt.Println(take(keyring.Rollback, force))
	fmt.Println(take(keyring.Retire, force)) // disables the key that was rolled back

	// The signing key is compromised.
	status, err := keyring.Inspect(ctx, client, "alias/jwt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(take(keyring.Revoke, force, func(o *keyring.RotateOptions) { o.Key = status.Signing.KeyARN }))
	// Output:
	// <nil>
	// true
	// <nil>
	// <nil>
	// <nil>
	// <nil>
}

// This example is what a cron job runs every hour. It starts a rotation when the
// key has signed for 90 days, and takes each further step when it is due.
func ExampleRotate_advance() {
	ctx := context.Background()
	client := fakeKMS(ctx)
	done, err := keyring.Rotate(ctx, client, "alias/jwt", keyring.Advance, func(o *keyring.RotateOptions) {
		// Timing must be that of the issuers.
		o.Timing = keyring.Timing{MaxLifetime: 10 * time.Minute}
		o.MaxKeyAge = 90 * 24 * time.Hour
	})
	fmt.Println(done, err)
	// Output: [] <nil>
}
