package container_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"otelrunner/otel/oteltest"
	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// TestSharedNetwork: two jobs in one network of the operator's reach it, and their own
// services under the same names.
func TestSharedNetwork(t *testing.T) {
	l := engine(t)
	shared := fmt.Sprintf("otelrunner-test-%d-%d", os.Getpid(), counter.Add(1))
	if _, err := l.engine.NetworkCreate(t.Context(), shared, client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := l.engine.NetworkRemove(context.Background(), shared, client.NetworkRemoveOptions{}); err != nil {
			t.Error(err)
		}
	})
	web := func(text string) sandbox.Service {
		return sandbox.Service{Name: "web", Container: sandbox.Container{Image: busybox, Options: "--network-alias www",
			Command: []string{"sh", "-c", "mkdir /www; echo " + text + " > /www/index.html; httpd -f -p 8080 -h /www"}}}
	}
	p := l.provider(t, container.Options{Network: shared, Standby: 1})
	job := func(text, options string) sandbox.Sandbox {
		spec := newSpec()
		spec.Services = []sandbox.Service{web(text)}
		spec.Container = &sandbox.Container{Options: options}
		return open(t, p, spec)
	}
	one, two := job("one", ""), job("two", "--hostname box")
	p.Warm(busybox)
	ready(t, p)
	warm := job("warm", "")
	for want, s := range map[string]sandbox.Sandbox{"one": one, "two": two, "warm": warm} {
		for _, name := range []string{"web", "www"} {
			for range 5 { // a name that stands for several is answered in turns
				same(t, name, sh(t, s, "for i in 1 2 3 4 5; do wget -q -O - http://"+name+":8080/ && exit; sleep 0.2; done"), want)
			}
		}
		found, err := l.engine.ContainerInspect(t.Context(), s.Info().JobContainer.ID, client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		networks := found.Container.NetworkSettings.Networks
		if networks[shared] == nil || len(networks) != 2 {
			t.Errorf("job %s is in %v, want %s and its own", want, networks, shared)
		}
		same(t, "default routes", sh(t, s, "ip route | grep -c default"), "1") // the shared network's
	}
	alone := open(t, l.provider(t, container.Options{Network: shared}), newSpec())
	found, err := l.engine.ContainerInspect(t.Context(), alone.Info().JobContainer.ID, client.ContainerInspectOptions{})
	if err != nil || len(found.Container.NetworkSettings.Networks) != 1 {
		t.Errorf("a job without services is in %+v, %v", found.Container.NetworkSettings, err)
	}
}

// TestServiceCalledAsAnAction: no name of a service is that of another container.
func TestServiceCalledAsAnAction(t *testing.T) {
	l := engine(t)
	spec := newSpec()
	var log lines
	spec.Log = log.log
	spec.Container = &sandbox.Container{Options: "--workdir /somewhere"}
	for _, name := range []string{"action-1", "action.1"} {
		spec.Services = append(spec.Services, sandbox.Service{Name: name, Container: sandbox.Container{Image: busybox, Command: []string{"sleep", "60"}}})
	}
	s := open(t, l.provider(t, container.Options{}), spec)
	res, err := s.(sandbox.ContainerRunner).RunContainer(t.Context(), &sandbox.ContainerCommand{Image: busybox, Entrypoint: []string{"true"}})
	if err != nil || res.ExitCode != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	same(t, "where a step starts", sh(t, s, "pwd"), "/workspace/octo/hello")
	if n := strings.Count(log.String(), "--workdir is left out"); n != 1 {
		t.Errorf("that --workdir has no effect is told %d times: %s", n, log.String())
	}
}

// TestKeptNetwork: a network that was made before its job, which no other job gets.
func TestKeptNetwork(t *testing.T) {
	l := engine(t)
	p := l.provider(t, container.Options{})
	kept := func() (name string) {
		t.Helper()
		oteltest.Eventually(t, "a network that is kept", func() error {
			if name = p.KeptNetwork(); name == "" {
				return errors.New("there is none")
			}
			return nil
		})
		return name
	}
	p.KeepNetwork()
	first := kept()
	if n, err := p.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("the sweep removed %d living things, %v", n, err)
	}
	spec := newSpec()
	spec.Services = []sandbox.Service{{Name: "web", Container: sandbox.Container{Image: busybox,
		Command: []string{"sh", "-c", "mkdir /www; echo fine > /www/index.html; httpd -f -p 8080 -h /www"}}}}
	s, err := p.Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the job's network", s.Info().JobContainer.Network, first)
	same(t, "service", sh(t, s, "for i in 1 2 3 4 5; do wget -q -O - http://web:8080/ && exit; sleep 0.2; done"), "fine")
	closeBox(t, s)
	second := kept()
	if second == first {
		t.Error("a job's network is kept for the next one")
	}
	// Somebody prunes networks.
	if _, err := l.engine.NetworkRemove(t.Context(), second, client.NetworkRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	spec = newSpec()
	same(t, "the network after that", open(t, p, spec).Info().JobContainer.Network, "otelrunner-"+spec.ID)
}
