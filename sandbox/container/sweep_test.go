package container_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// victim in the environment makes this test program a runner that is to be killed:
// it opens a job with a service and says what it does. With _BIND in the environment
// the workspace is a folder below that one; with _SWEEP the runner only sweeps.
const victim = "OTELRUNNER_TEST_VICTIM"

func TestMain(m *testing.M) {
	if runner := os.Getenv(victim); runner != "" {
		die(runner)
		return
	}
	code := m.Run()
	if used.Load() {
		if l, err := lab(); err == nil {
			l.clear()
		}
	}
	os.Exit(code)
}

func die(runner string) {
	helper, err := os.ReadFile(os.Getenv(victim + "_HELPER"))
	if err != nil {
		panic(err)
	}
	bind := os.Getenv(victim + "_BIND")
	p, err := container.New(container.Options{Runner: runner, Pull: container.PullNever, HelperArgs: []string{"__helper"},
		Helper: func(string) ([]byte, error) { return helper, nil }, BindWorkdir: bind != "", WorkdirParent: bind})
	if err != nil {
		panic(err)
	}
	if os.Getenv(victim+"_SWEEP") != "" {
		n, err := p.Sweep(context.Background())
		fmt.Println("swept", n, err)
		return
	}
	spec := newSpec()
	spec.Services = []sandbox.Service{{Name: "db", Container: sandbox.Container{Image: busybox, Options: "--entrypoint /bin/cat"}}}
	fmt.Println("opening")
	s, err := p.Open(context.Background(), spec)
	if err != nil {
		panic(err)
	}
	fmt.Println("open")
	go func() {
		time.Sleep(300 * time.Millisecond)
		fmt.Println("running")
	}()
	_, _ = s.Run(context.Background(), &sandbox.Command{Args: []string{"sh", "-c", "mkdir -p deep/er; touch deep/er/file; chmod 0 deep; (setsid sleep 3600 &); sleep " + os.Getenv(victim+"_SLEEP")}})
	fmt.Println("closing")
	_ = s.(sandbox.Retirer).Retire(context.Background()) // as `runner serve` does before the final report
	fmt.Println("closed", s.Close(context.Background()))
	time.Sleep(time.Hour)
}

// TestKilledRunner kills a runner with SIGKILL in every phase of a job: the next
// one of the same name removes all that is left.
func TestKilledRunner(t *testing.T) {
	l := engine(t)
	helper := t.TempDir() + "/helper"
	if err := os.WriteFile(helper, l.helper, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = l.provider(t, container.Options{}) // the volume is there
	for _, phase := range []struct {
		after string
		wait  time.Duration
	}{
		{"opening", 0}, {"opening", 50 * time.Millisecond}, {"opening", 150 * time.Millisecond}, {"opening", 400 * time.Millisecond},
		{"open", 0}, {"running", 0}, {"closing", 0}, {"closing", 60 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%s %v", phase.after, phase.wait), func(t *testing.T) {
			runner := fmt.Sprintf("victim-%d-%d", os.Getpid(), counter.Add(1))
			cmd := exec.Command(os.Args[0])
			sleep := "60"
			if phase.after == "closing" {
				sleep = "0"
			}
			cmd.Env = append(os.Environ(), victim+"="+runner, victim+"_HELPER="+helper, victim+"_SLEEP="+sleep)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != phase.after {
			}
			time.Sleep(phase.wait)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			// The engine may still be obeying the last request.
			p := l.provider(t, container.Options{Runner: runner})
			for clean, looks := 0, 0; clean < 15 && looks < 300; looks++ {
				if _, err := p.Sweep(t.Context()); err != nil {
					t.Log(err)
				}
				if clean++; len(l.things(t, "otelrunner.runner="+runner)) > 0 {
					clean = 0
				}
				time.Sleep(100 * time.Millisecond)
			}
			out2, _ := exec.Command("ps", "-eo", "args").Output()
			if strings.Contains(string(out2), "sleep 3600") {
				t.Error("a process of the job lives on")
			}
		})
	}
}

// TestSweepLeavesOthers: another runner's things are not touched.
func TestSweepLeavesOthers(t *testing.T) {
	l := engine(t)
	mine, other := l.provider(t, container.Options{}), l.provider(t, container.Options{})
	s := open(t, other, newSpec())
	if n, err := mine.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := other.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	same(t, "after the sweeps", sh(t, s, "echo alive"), "alive")
}
