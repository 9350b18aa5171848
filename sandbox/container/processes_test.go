package container_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// TestNothingIsLeftAfterACancel: two seconds after a cancel no process of a step is in
// the container, also where the helper is not its first process.
func TestNothingIsLeftAfterACancel(t *testing.T) {
	l := engine(t)
	p := l.provider(t, container.Options{})
	for _, options := range []string{"", "--init"} {
		spec := newSpec()
		spec.Container = &sandbox.Container{Options: options}
		s, err := p.Open(t.Context(), spec)
		if err != nil && options == "--init" && strings.Contains(err.Error(), "docker-init") {
			t.Logf("the engine has no init to put before the helper: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer closeBox(t, s)
		for name, script := range map[string]string{
			"a daemon without environment": `(env -i setsid /bin/sh -c 'trap "" TERM; while :; do /bin/sleep 0.02; done' &) ; echo up; sleep 60`,
			"a fork storm":                 `f() { sh -c 'setsid sleep 60 & setsid sleep 60 &' ; }; i=0; while [ $i -lt 20 ]; do f & i=$((i+1)); done; echo up; sleep 60`,
			"one that is anew":             `hop() { sleep 0.01; hop & exit; }; hop & echo up; trap "" TERM; while :; do sleep 0.05; done`,
			"a stopped one":                `sleep 60 & kill -STOP $!; echo up; wait`,
		} {
			t.Run(strings.TrimSpace(name+" "+options), func(t *testing.T) {
				up := newSignal()
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					<-up.c
					cancel()
				}()
				_, err := s.Run(ctx, &sandbox.Command{Args: []string{"sh", "-c", script}, Grace: 100 * time.Millisecond, Stdout: up})
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				deadline := time.Now().Add(2 * time.Second)
				for left := others(t, l, s); len(left) > 0; left = others(t, l, s) {
					if time.Now().After(deadline) {
						t.Fatalf("left: %q", left)
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
	}
}

// others are the processes of a job's container that are not the runner's.
func others(t *testing.T, l *laboratory, s sandbox.Sandbox) (found []string) {
	t.Helper()
	top, err := l.engine.ContainerTop(t.Context(), s.Info().JobContainer.ID, client.ContainerTopOptions{Arguments: []string{"-eo", "pid,args"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range top.Processes {
		if args := process[1]; !strings.Contains(args, "/.otelrunner/helper") && !strings.Contains(args, "docker-init") {
			found = append(found, args)
		}
	}
	return found
}

// TestVolumesAndPorts: those of the job's own container.
func TestVolumesAndPorts(t *testing.T) {
	l := engine(t)
	volume := "test-volume-of-" + newSpec().ID
	t.Cleanup(func() {
		if _, err := l.engine.VolumeRemove(context.Background(), volume, client.VolumeRemoveOptions{}); err != nil {
			t.Errorf("a volume of the workflow's own name is to outlive its job: %v", err)
		}
	})
	folder := t.TempDir()
	p := l.provider(t, container.Options{ValidVolumes: []string{"test-volume-of-*", folder}})
	spec := newSpec()
	spec.Container = &sandbox.Container{Volumes: []string{volume + ":/kept", folder + ":/here:ro"}, Ports: []string{"8080"}}
	s, err := p.Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	sh(t, s, "echo kept > /kept/file; ! touch /here/file 2> /dev/null")
	found, err := l.engine.ContainerInspect(t.Context(), s.Info().JobContainer.ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	published := 0
	for port, bindings := range found.Container.NetworkSettings.Ports {
		if port.Port() == "8080" && len(bindings) > 0 {
			published++
		}
	}
	if published != 1 {
		t.Errorf("the ports are %v, want 8080 published", found.Container.NetworkSettings.Ports)
	}
	closeBox(t, s)
	again := newSpec()
	again.Container = &sandbox.Container{Volumes: []string{volume + ":/kept"}}
	again.ID += "-again"
	box := open(t2{t}, p, again) // closed below, before the volume is removed
	same(t, "what the job before has left in the volume", sh(t, box, "cat /kept/file"), "kept")
	closeBox(t, box)
}
