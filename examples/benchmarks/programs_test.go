package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/turns"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// build builds a package and returns the path of the program.
func build(tb testing.TB, pkg string, flags ...string) string {
	tb.Helper()
	program := filepath.Join(tb.TempDir(), "program")
	args := append([]string{"build", "-o", program}, flags...)
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", pkg, err, out)
	}
	return program
}

var programs = []struct{ name, pkg, base string }{
	{"the SDK's client", "./internal/sdk", "./internal/sdk"},
	{"`kmssigner`", "./internal/signer", "./internal/sdk"},
	{"the SDK's client and golang-jwt", "./internal/sdkjwt", "./internal/sdkjwt"},
	{"`kmssigner`, `jwtkms` and golang-jwt", "./internal/token", "./internal/sdkjwt"},
}

// BenchmarkSize builds programs that make one signature or one token, with the
// library and without, and prints their sizes.
//
//	go -C examples test -run '^$' -bench Size -benchtime 1x ./benchmarks
func BenchmarkSize(b *testing.B) {
	table := turns.NewTable("program with", "MB", "the library's", "MB with `-ldflags='-s -w'`", "the library's")
	sizes := map[string]int{}
	var stripped []byte
	for _, p := range programs {
		row := []any{p.name}
		for _, flags := range []string{"-ldflags=", "-ldflags=-s -w"} {
			var err error
			if stripped, err = os.ReadFile(build(b, p.pkg, flags)); err != nil {
				b.Fatal(err)
			}
			sizes[p.pkg+flags] = len(stripped)
			added := ""
			if p.base != p.pkg {
				added = megabytes(len(stripped) - sizes[p.base+flags])
			}
			row = append(row, megabytes(len(stripped)), added)
		}
		table.Row(row...)
	}
	table.Write(os.Stdout)
	fmt.Printf("The library's part includes %s MB of points of secp256k1.\n", megabytes(pointsIn(b, stripped)))
}

func megabytes(n int) string { return fmt.Sprintf("%.2f", float64(n)/1e6) }

// pointsIn returns the size of the table of points of the secp256k1 module,
// which is a string, and makes sure that the program has it.
func pointsIn(tb testing.TB, program []byte) int {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/decred/dcrd/dcrec/secp256k1/v4").Output()
	if err != nil {
		tb.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "compressedbytepoints.go"), nil, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var points string
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && len(lit.Value) > len(points) {
			if points, err = strconv.Unquote(lit.Value); err != nil {
				tb.Fatal(err)
			}
		}
		return true
	})
	if points == "" || !bytes.Contains(program, []byte(points)) {
		tb.Fatalf("the program does not have the %d bytes of the table", len(points))
	}
	return len(points)
}

// BenchmarkStart runs the same programs, in turns. Each is a new process that
// gets the public key from a fake KMS on the loopback interface and makes one
// signature.
//
//	go -C examples test -run '^$' -bench Start -benchtime 200x ./benchmarks
func BenchmarkStart(b *testing.B) {
	fake := kmstest.New(func(o *kmstest.Options) {
		o.Credentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}
	})
	server := kmstest.NewServer(fake)
	defer server.Close()
	key := fake.AddKey(types.KeySpecEccNistP256)
	var variants []turns.Variant
	for _, p := range programs {
		program := build(b, p.pkg)
		variants = append(variants, turns.Variant{Name: p.pkg, Run: func() error {
			out, err := exec.Command(program, server.URL, key).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}})
	}
	times := turns.Measure(b, 1, variants...)
	table := turns.NewTable("program with", "ms", "the library adds, in ms", "times as long")
	for _, p := range programs {
		took := times.Microseconds(p.pkg).Scale(1e-3)
		if p.base == p.pkg {
			table.Row(p.name, took, "", "")
			continue
		}
		table.Row(p.name, took, times.Difference(p.pkg, p.base).Scale(1e-3), times.Ratio(p.pkg, p.base))
	}
	table.Write(os.Stdout)
}

// BenchmarkBursts runs loadtest with the SDK's default client and without, in
// turns, with the latency and the number of connections that it reports.
//
//	go -C examples test -run '^$' -bench Bursts -benchtime 10x ./benchmarks
func BenchmarkBursts(b *testing.B) {
	program := build(b, "../loadtest")
	type result struct {
		Issued      int     `json:"tokens_issued"`
		Failed      int     `json:"tokens_failed"`
		Connections float64 `json:"connections_opened"`
		Latency     struct {
			P50, P99 float64
		} `json:"latency_ms"`
	}
	measure := func(flags ...string) (r result) {
		args := append([]string{"-concurrency=64", "-rate=640", "-burst=64", "-json"}, flags...)
		out, err := exec.Command(program, args...).Output()
		if err != nil {
			b.Fatal(err)
		}
		if err := json.Unmarshal(out, &r); err != nil {
			b.Fatal(err)
		}
		if r.Failed > 0 || r.Issued == 0 {
			b.Fatalf("loadtest: %s", out)
		}
		return r
	}
	values := map[string][]float64{}
	add := func(name string, value float64) { values[name] = append(values[name], value) }
	for b.Loop() {
		standard, tuned := measure("-default-client"), measure()
		add("standard connections", standard.Connections)
		add("tuned connections", tuned.Connections)
		add("standard p50", standard.Latency.P50)
		add("tuned p50", tuned.Latency.P50)
		add("p50 ratio", standard.Latency.P50/tuned.Latency.P50)
		add("standard p99", standard.Latency.P99)
		add("tuned p99", tuned.Latency.P99)
		add("p99 ratio", standard.Latency.P99/tuned.Latency.P99)
	}
	of := func(name string) turns.Figure { return turns.NewFigure(values[name]) }
	table := turns.NewTable("", "default client", "`NewHTTP(64)`", "ratio in each pair of runs")
	table.Row("connections opened, of 1,920 calls", of("standard connections"), of("tuned connections"), "")
	table.Row("p50, ms", of("standard p50"), of("tuned p50"), of("p50 ratio"))
	table.Row("p99, ms", of("standard p99"), of("tuned p99"), of("p99 ratio"))
	table.Write(os.Stdout)
}
