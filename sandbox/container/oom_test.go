package container_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// hog needs more memory than tests give.
const hog = "head -c 200000000 /dev/zero | tail"

func TestMemoryLimitOfAnAction(t *testing.T) {
	l := engine(t)
	s := open(t, l.provider(t, container.Options{Memory: "64m"}), newSpec())
	for _, c := range []struct {
		script string
		code   int
		limit  bool
	}{{hog, 137, true}, {"exit 5", 5, false}, {hog + " || true", 0, false}} {
		res, err := s.(sandbox.ContainerRunner).RunContainer(t.Context(), &sandbox.ContainerCommand{Image: busybox,
			Entrypoint: []string{"sh", "-c", c.script}})
		limit, ok := errors.AsType[*sandbox.LimitError](err)
		if ok != c.limit || !ok && err != nil || res.ExitCode != c.code {
			t.Errorf("%s: %+v, %v", c.script, res, err)
		}
		if ok {
			contains(t, "error", limit.Text, "memory limit of 64 MiB reached", "the action's container")
		}
	}
}

// TestServiceOutOfMemory: the job's log says what became of a service in the middle of
// the job, and nothing of one that the job's end removes.
func TestServiceOutOfMemory(t *testing.T) {
	l := engine(t)
	bad := l.image(t, nil, `CMD ["sh", "-c", "echo holding too much; while ! test -e /go; do sleep 0.1; done; `+hog+`"]`)
	spec := newSpec()
	var log lines
	told := make(chan string, 10)
	spec.Log = func(line string) {
		log.log(line)
		if strings.Contains(line, "Service db has ended") {
			told <- line
		}
	}
	spec.Services = []sandbox.Service{
		{Name: "db", Container: sandbox.Container{Image: bad, Options: "--memory 64m --memory-swap 64m"}},
		{Name: "well", Container: sandbox.Container{Image: bad, Command: []string{"sleep", "600"}}},
	}
	s, err := l.provider(t, container.Options{}).Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	within(t, l, s.Info().ServiceInfo["db"].ID, "/go")
	select {
	case line := <-told:
		contains(t, "row", line, "exit code 137", "needed more memory than its limit of 64 MiB", "the end of its log:\nholding too much")
	case <-time.After(time.Minute):
		t.Errorf("nothing is told: %s", log.String())
	}
	same(t, "the job goes on", sh(t, s, "echo yes"), "yes")
	_ = s.(sandbox.Retirer).Retire(t.Context()) // a container's never fails
	closeBox(t, s)
	if strings.Contains(log.String(), "Service well") {
		t.Errorf("the job's own end is told as a service's: %s", log.String())
	}
}

// TestHelperOutOfMemory: the first process itself is what the kernel ends.
func TestHelperOutOfMemory(t *testing.T) {
	l := engine(t)
	s := open(t, l.provider(t, container.Options{Memory: "64m"}), newSpec())
	_, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "echo 1000 > /proc/1/oom_score_adj; " + hog}})
	if err == nil {
		t.Fatal("the kernel has left the helper alone")
	}
	contains(t, "error", err.Error(), "the job's container was killed because its processes needed more memory than its limit of 64 MiB")
}
