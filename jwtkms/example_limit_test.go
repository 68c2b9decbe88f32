package jwtkms_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A limitedMAC calls KMS to verify only as often as its limiter allows.
type limitedMAC struct {
	jwtkms.MAC
	limiter interface{ Allow() bool }
}

var errTooManyTokens = errors.New("too many tokens to verify")

func (m limitedMAC) Verify(msg, mac []byte) (bool, error) {
	if !m.limiter.Allow() {
		return false, errTooManyTokens
	}
	return m.MAC.Verify(msg, mac)
}

// A countdown allows a fixed number of calls. In production use a rate.Limiter
// of golang.org/x/time/rate, and one for each client, for example by its
// address. With one for all clients, a forger uses up the calls of the others.
type countdown struct{ left atomic.Int64 }

func (c *countdown) Allow() bool { return c.left.Add(-1) >= 0 }

// A limit on what forged tokens cost. A thousand copies of an expired token
// make no call, and a thousand plausible forgeries make as many as the limit
// allows.
func ExampleMAC() {
	ctx := context.Background()
	client := kmstest.New() // in production: kms.NewFromConfig(cfg)
	mac, err := kmssigner.NewHMAC(ctx, client, client.AddKey(types.KeySpecHmac256))
	if err != nil {
		log.Fatal(err)
	}
	keys := map[string]jwtkms.MAC{"2026-11": mac} // by kid
	options := []jwt.ParserOption{jwt.WithExpirationRequired()}
	validator := jwt.NewValidator(options...)

	limiter := new(countdown)
	limiter.left.Store(10)
	verify := func(compact string) (*jwt.Token, error) {
		return jwt.Parse(compact, jwtkms.ValidateFirst(validator, func(token *jwt.Token) (any, error) {
			key, ok := keys[fmt.Sprint(token.Header["kid"])]
			if !ok {
				return nil, errors.New("unknown kid")
			}
			return jwtkms.HS256.Keyfunc(limitedMAC{key, limiter})(token)
		}), options...)
	}

	// A forger does not have the key, so the MACs are wrong.
	forge := func(exp time.Time) string {
		token := jwt.NewWithClaims(jwtkms.HS256, jwt.MapClaims{"sub": "admin", "exp": exp.Unix()})
		token.Header["kid"] = "2026-11"
		signed, err := token.SigningString()
		if err != nil {
			log.Fatal(err)
		}
		return signed + "." + strings.Repeat("A", 43)
	}
	for _, exp := range []time.Time{time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} {
		before := client.Calls("VerifyMac")
		refused, limited := 0, 0
		for range 1000 {
			switch _, err := verify(forge(exp)); {
			case errors.Is(err, errTooManyTokens):
				limited++ // 429
			case err != nil:
				refused++ // 401
			}
		}
		fmt.Println(refused, "refused,", limited, "over the limit,", client.Calls("VerifyMac")-before, "calls")
	}
	// Output:
	// 1000 refused, 0 over the limit, 0 calls
	// 10 refused, 990 over the limit, 10 calls
}
