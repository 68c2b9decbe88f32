package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLoad makes many calls of every kind to the real program, and checks that
// its memory stays where it was after the first fifth of them. FAKEKMS_CALLS is
// the number of calls; by default it is small, and larger with KMSSIGN_FULL=1:
//
//	FAKEKMS_CALLS=5000000 go test -run TestLoad -v -timeout 2h ./kmssigner/kmstest/fakekms
//
// The calls are among them made-up operations, requests with large messages
// that are refused, and signatures. They do not change the state, because keys
// that clients make are theirs to delete.
func TestLoad(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process is read from /proc")
	}
	calls := 10_000
	if full() {
		calls = 100_000
	}
	if text := os.Getenv("FAKEKMS_CALLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		calls = n
	}
	p := spawn(t, "-credentials", "any", "-key", "alias/jwt=ECC_NIST_P256", "-key", "alias/mac=HMAC_256", "-key", "alias/pq=ML_DSA_44")
	addr := strings.TrimPrefix(p.env["AWS_ENDPOINT_URL_KMS"], "http://")

	const message = `"Message":"bWVzc2FnZQ=="`
	large := `"Message":"` + strings.Repeat("A", 400_000) + `"`
	bodies := []struct {
		operation, body string
		weight          int // of 1000 calls
	}{
		{"Sign", `{"KeyId":"alias/jwt",` + message + `,"SigningAlgorithm":"ECDSA_SHA_256"}`, 200},
		{"GenerateMac", `{"KeyId":"alias/mac",` + message + `,"MacAlgorithm":"HMAC_SHA_256"}`, 400},
		{"GetPublicKey", `{"KeyId":"alias/jwt"}`, 200},
		{"DescribeKey", `{"KeyId":"alias/none"}`, 100},
		{"MadeUp%d", `{}`, 94},
		{"Sign", `{"KeyId":"alias/jwt",` + large + `,"SigningAlgorithm":"ECDSA_SHA_256"}`, 1},
		{"Sign", `{"KeyId":"alias/pq",` + message + `,"SigningAlgorithm":"ML_DSA_SHAKE_256"}`, 5},
	}
	var mix []int // 1000 indexes of bodies
	for i, b := range bodies {
		for range b.weight {
			mix = append(mix, i)
		}
	}
	// The dates are fresh enough for a minute.
	request := func(i int) []byte {
		b := bodies[mix[i*7919%len(mix)]]
		operation := b.operation
		if strings.Contains(operation, "%d") {
			operation = fmt.Sprintf(operation, i)
		}
		date := time.Now().UTC().Format("20060102T150405Z")
		return fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Date: %s\r\nX-Amz-Target: TrentService.%s\r\n"+
			"Authorization: AWS4-HMAC-SHA256 Credential=test/%s/%s/kms/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=00\r\nContent-Length: %d\r\n\r\n%s",
			date, operation, date[:8], "us-east-1", len(b.body), b.body)
	}
	answered := make(map[int]int) // by status
	var mu sync.Mutex
	make1 := func(from, to int) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		mine := map[int]int{}
		// Requests are sent ahead of their answers, in batches.
		const batch = 50
		for i := from; i < to; i += batch {
			n := min(batch, to-i)
			sent := make(chan error, 1)
			go func() {
				var b bytes.Buffer
				for j := range n {
					b.Write(request(i + j))
				}
				_, err := conn.Write(b.Bytes())
				sent <- err
			}()
			for range n {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				mine[resp.StatusCode]++
			}
			if err := <-sent; err != nil {
				t.Error(err)
				return
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for status, n := range mine {
			answered[status] += n
		}
	}
	run := func(from, to int) {
		var wg sync.WaitGroup
		const connections = 4
		for c := range connections {
			step := (to - from) / connections
			wg.Go(func() { make1(from+c*step, from+(c+1)*step) })
		}
		wg.Wait()
	}
	start := time.Now()
	run(0, calls/5)
	warm := memory(t, p)
	most := warm
	for i := 1; i < 5; i++ {
		run(i*calls/5, (i+1)*calls/5)
		now := memory(t, p)
		most = max(most, now)
		t.Logf("after %d calls and %v: %d MiB resident, %d MiB after the first %d", (i+1)*calls/5, time.Since(start).Round(time.Second), now>>20, warm>>20, calls/5)
	}
	t.Logf("answers by status: %v", answered)
	if sum := answered[200] + answered[400]; sum < calls-20 || answered[400] < calls/10 || answered[200] < calls/2 {
		t.Errorf("%d calls, answers by status: %v", calls, answered)
	}
	// A leak of 20 bytes a call would show in five million. What is left is the
	// garbage collector's.
	if most > warm+max(warm/4, 16<<20) {
		t.Errorf("%d MiB resident, %d MiB after the first fifth", most>>20, warm>>20)
	}
}

// memory returns the resident memory of a process in bytes.
func memory(t *testing.T, p *process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// process is a running fakekms in a process of its own.
type process struct {
	program
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// spawn runs the program in a process of its own. Kill it by p.cmd.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"-listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "FAKEKMS_TEST_RUN_MAIN=1")
	return spawnCommand(t, cmd, strings.Count(strings.Join(args, " "), "-key "))
}

// spawnCommand starts a command that runs the program with a number of -key,
// and kills it when the test ends.
func spawnCommand(t *testing.T, cmd *exec.Cmd, keys int) *process {
	t.Helper()
	p := &process{cmd: cmd}
	cmd.Stderr = &p.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	p.program = readEnvironment(stdout, keys)
	if p.env["AWS_ENDPOINT_URL_KMS"] == "" {
		cmd.Wait()
		t.Fatalf("%v: %s", cmd, &p.stderr)
	}
	return p
}
