package container_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// victim in the environment makes this test program a runner that is to be killed:
// it opens a job with a service and says what it does. With _BIND in the environment
// the workspace is a folder below that one; _DOES is what it does instead of running a step.
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
	bind, does := os.Getenv(victim+"_BIND"), os.Getenv(victim+"_DOES")
	o := container.Options{Runner: runner, Pull: container.PullNever, HelperArgs: []string{"__helper"},
		Helper: func(string) ([]byte, error) { return helper, nil }, BindWorkdir: bind != "", WorkdirParent: bind, Flags: os.Getenv(victim + "_FLAGS")}
	switch does {
	case "standby":
		o.Standby = 1
	case "pull":
		o.Pull = container.PullAlways
	}
	p, err := container.New(o)
	if err != nil {
		panic(err)
	}
	if strings.HasPrefix(does, "host") {
		dieHost(p, bind, does == "host-sweep")
		return
	}
	spec := newSpec()
	spec.Log = func(line string) { fmt.Println("log", line) }
	spec.Services = []sandbox.Service{{Name: "db", Container: sandbox.Container{Image: busybox, Options: "--entrypoint /bin/cat"}}}
	switch does {
	case "sweep":
		n, err := p.Sweep(context.Background())
		fmt.Println("swept", n, err)
		return
	case "standby":
		p.Warm(busybox)
		for p.Warmed(busybox) == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "pull":
		spec.Services[0].Image = os.Getenv(victim + "_IMAGE")
	}
	fmt.Println("opening")
	s, err := p.Open(context.Background(), spec)
	if err != nil {
		panic(err)
	}
	fmt.Println("open")
	mark := "(setsid sleep " + os.Getenv(victim+"_MARK") + " &); "
	switch runner := s.(sandbox.ContainerRunner); does {
	case "action":
		_, _ = runner.RunContainer(context.Background(), &sandbox.ContainerCommand{Image: busybox,
			Entrypoint: []string{"sh", "-c", mark + "echo acting; sleep 60"}, Command: sandbox.Command{Stdout: os.Stdout}})
	case "build":
		_, _ = runner.PrepareImage(context.Background(), sandbox.ImageSource{Build: &sandbox.Build{Dockerfile: "Dockerfile", Context: fstest.MapFS{
			"Dockerfile": {Data: []byte("FROM " + busybox + "\nRUN echo building; exec sleep " + os.Getenv(victim+"_MARK") + "\n")}}}}, func(line string) { fmt.Println(line) })
	}
	_, _ = s.Run(context.Background(), &sandbox.Command{Stdout: os.Stdout, Args: []string{"sh", "-c",
		"mkdir -p deep/er; touch deep/er/file; chmod 0 deep; " + mark + "echo running; sleep " + os.Getenv(victim+"_SLEEP")}})
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
	image := slowRegistry(t) + "/slow:1"
	for i, phase := range []struct {
		does, after string
		wait        time.Duration
	}{
		{"", "opening", 0}, {"", "opening", 50 * time.Millisecond}, {"", "opening", 150 * time.Millisecond}, {"", "opening", 400 * time.Millisecond},
		{"", "open", 0}, {"", "running", 0}, {"", "closing", 0}, {"", "closing", 60 * time.Millisecond},
		{"pull", "log Pulling image " + image, 100 * time.Millisecond}, {"action", "acting", 0}, {"build", "building", 0}, {"standby", "ready", 0},
	} {
		t.Run(fmt.Sprintf("%s %s %v", phase.does, strings.Fields(phase.after)[0], phase.wait), func(t *testing.T) {
			runner := fmt.Sprintf("victim-%d-%d", os.Getpid(), counter.Add(1))
			cmd := exec.Command(os.Args[0])
			sleep, mark := "60", strconv.Itoa(10_000_000+100*os.Getpid()+i) // that nothing else on the machine has
			if phase.after == "closing" {
				sleep = "0"
			}
			cmd.Env = append(os.Environ(), victim+"="+runner, victim+"_HELPER="+helper, victim+"_SLEEP="+sleep, victim+"_MARK="+mark,
				victim+"_DOES="+phase.does, victim+"_IMAGE="+image)
			cmd.Stderr = t.Output()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines, there := bufio.NewScanner(out), false
			for !there && lines.Scan() {
				there = lines.Text() == phase.after
			}
			time.Sleep(phase.wait)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if !there {
				t.Fatalf("the runner has never said %q", phase.after)
			}
			// The engine may still be obeying the last request.
			p := l.provider(t, container.Options{Runner: runner})
			for clean, looks := 0, 0; clean < 15 && looks < 300; looks++ {
				if _, err := p.Sweep(t.Context()); err != nil {
					t.Log(err)
				}
				out, _ := exec.Command("ps", "-eo", "args").Output()
				if clean++; len(l.things(t, "otelrunner.runner="+runner)) > 0 || strings.Contains(string(out), "sleep "+mark) {
					clean = 0
				}
				if looks == 299 {
					t.Errorf("something is left, or a process lives on:\n%s", out)
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
}

// slowRegistry takes connections and says nothing. It returns its address.
func slowRegistry(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		var held []net.Conn
		for {
			c, err := l.Accept()
			if err != nil { // the test's end
				for _, c := range held {
					_ = c.Close()
				}
				return
			}
			held = append(held, c)
		}
	}()
	return l.Addr().String()
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
