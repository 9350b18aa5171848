//go:build linux

package main_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/stream"
)

// BenchmarkRun is a command through the stream beside its floor, a fork and an
// exec by this process.
func BenchmarkRun(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	box := open(b, provider{})
	run := func(c *sandbox.Command) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if res, err := box.Run(context.Background(), c); err != nil || res.ExitCode != 0 {
					b.Fatal(res, err)
				}
			}
		}
	}
	b.Run("stream", run(&sandbox.Command{Args: []string{"/bin/true"}}))
	b.Run("step", run(&sandbox.Command{
		Args:    []string{"sh", "../temp/script.sh"},
		Files:   []sandbox.File{{Path: "../temp/script.sh", Data: []byte("true\n")}, {Path: "../temp/env"}, {Path: "../temp/output"}},
		Collect: []string{"../temp/env", "../temp/output"},
		Remove:  []string{"../temp/script.sh", "../temp/env", "../temp/output"},
		Stdout:  discard{}, Stderr: discard{},
	}))
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkOutput is the throughput of a command's output.
func BenchmarkOutput(b *testing.B) {
	box := open(b, provider{})
	const size = 64 << 20
	b.SetBytes(size)
	for b.Loop() {
		if _, err := box.Run(context.Background(), &sandbox.Command{Args: []string{"head", "-c", "67108864", "/dev/zero"}, Stdout: discard{}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart is the time from the start of the helper's process to its hello,
// and to the end of the set-up, beside a start of /bin/true.
func BenchmarkStart(b *testing.B) {
	folder, err := os.MkdirTemp("", "helper-bench-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(folder)
	var hello, setup time.Duration
	for b.Loop() {
		began := time.Now()
		p := (start{}).process(b)
		c, err := stream.NewClient(b.Context(), p, stream.Options{})
		if err != nil {
			b.Fatal(err)
		}
		hello += time.Since(began)
		if _, err := c.Setup(b.Context(), stream.Setup{Workspace: folder + "/w", Temp: folder + "/t"}); err != nil {
			b.Fatal(err)
		}
		setup += time.Since(began)
		_ = c.Close()
		_ = p.wait()
	}
	b.ReportMetric(float64(hello.Microseconds())/float64(b.N), "µs/hello")
	b.ReportMetric(float64(setup.Microseconds())/float64(b.N), "µs/setup")
}
