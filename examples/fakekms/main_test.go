package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// start runs the program on a free port and returns the environment that it prints.
func start(t *testing.T, args ...string) (env map[string]string, comments string, stop func() (status int, stderr string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), writer, &errs)
		writer.Close()
	}()
	env = map[string]string{}
	wantKeys := strings.Count(strings.Join(args, " "), "-key")
	for scanner := bufio.NewScanner(reader); scanner.Scan(); {
		line := scanner.Text()
		if pair, ok := strings.CutPrefix(line, "export "); ok {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		} else {
			comments += line + "\n"
		}
		if len(env) == 5 && strings.Count(comments, "# arn:") == wantKeys {
			break
		}
	}
	return env, comments, func() (int, string) {
		cancel()
		return <-done, errs.String()
	}
}

// The printed environment is all that an SDK needs.
func TestEnvironment(t *testing.T) {
	env, comments, stop := start(t, "-v", "-region", "eu-central-1", "-key", "alias/jwt=ECC_NIST_P256", "-key", "HMAC_256")
	for name, value := range env {
		t.Setenv(name, value)
	}
	if !strings.Contains(comments, "# arn:aws:kms:eu-central-1:111122223333:key/") || !strings.Contains(comments, "ECC_NIST_P256 alias/jwt") {
		t.Errorf("comments:\n%s", comments)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, alias := kms.NewFromConfig(cfg), "alias/jwt"
	out, err := client.Sign(t.Context(), &kms.SignInput{
		KeyId: &alias, Message: []byte("message"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Verify(t.Context(), &kms.VerifyInput{
		KeyId: &alias, Message: []byte("message"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256, Signature: out.Signature,
	}); err != nil {
		t.Error(err)
	}
	status, stderr := stop()
	if status != 0 || !strings.Contains(stderr, "Sign 200") {
		t.Errorf("status %d, standard error:\n%s", status, stderr)
	}
}

func TestFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-listen", taken.Addr().String()}, 1, "address already in use"},
		{[]string{"-listen", "nonsense"}, 1, "missing port in address"},
		{[]string{"-nonsense"}, 2, "flag provided but not defined"},
		{[]string{"extra"}, 2, `unexpected argument "extra"`},
		{[]string{"-key", "alias/jwt=P256"}, 2, `unknown key spec "P256", want one of [`},
		{[]string{"-key", "jwt=ECC_NIST_P256"}, 2, `alias "jwt", want one that begins with alias/`},
		{[]string{"-account", "1"}, 2, "want twelve digits"},
		{[]string{"-listen", "127.0.0.1:0", "-key", "alias/aws/x=ECC_NIST_P256"}, 1, "alias/aws/x"},
		{[]string{"-listen", "127.0.0.1:0", "-key", "alias/x=ECC_NIST_P256", "-key", "alias/x=RSA_2048"}, 1, "AlreadyExistsException"},
		{[]string{"-listen", "127.0.0.1:0", "-key", "SM2"}, 1, "-key SM2"},
		{[]string{"-h"}, 0, "Usage of fakekms"},
	} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), tt.args, &out, &errs); status != tt.status || out.Len() != 0 || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%q: status %d, standard output %q, standard error %q; want %d and %q", tt.args, status, &out, &errs, tt.status, tt.want)
		}
	}
}
