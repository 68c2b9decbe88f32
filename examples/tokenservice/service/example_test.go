package service_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/tokenservice/service"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A service as a part of another program, which knows who its callers are.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := kmstest.New() // in production: kms.NewFromConfig(cfg)
	_, err := client.CreateAlias(ctx, &kms.CreateAliasInput{
		AliasName:   aws.String("alias/jwt"),
		TargetKeyId: aws.String(client.AddKey(types.KeySpecEccNistP256)),
	})
	if err != nil {
		log.Fatal(err)
	}
	ring, err := keyring.New(ctx, client, "alias/jwt")
	if err != nil {
		log.Fatal(err)
	}
	svc, err := service.New(ring, client, func(o *service.Options) {
		o.Issuer = "https://issuer.example"
		o.Logger = slog.New(slog.DiscardHandler)
		o.Authorize = func(r *http.Request, claims map[string]any) error {
			if caller := r.Header.Get("X-Caller"); caller != claims["sub"] {
				return fmt.Errorf("%s gets no token for %s", caller, claims["sub"])
			}
			return nil
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	go svc.Run(ctx) // keeps the keys up to date
	server := httptest.NewServer(svc)
	defer server.Close()

	for _, caller := range []string{"alice", "mallory"} {
		request, err := http.NewRequest("POST", server.URL+"/token", strings.NewReader(`{"sub":"alice"}`))
		if err != nil {
			log.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-Caller", caller)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		response.Body.Close()
		fmt.Println(caller, response.Status)
	}
	// Output:
	// alice 200 OK
	// mallory 403 Forbidden
}
