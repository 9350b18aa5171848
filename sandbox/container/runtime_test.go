package container_test

import (
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// container.runtime reaches the engine as it is, for the job's container and its
// services; a workflow cannot choose one.
func TestRuntime(t *testing.T) {
	l := engine(t)
	t.Run("one that there is", func(t *testing.T) {
		p := l.provider(t, container.Options{Runtime: "runc", Flags: "--runtime other"})
		spec := newSpec()
		spec.Services = []sandbox.Service{{Name: "s", Container: sandbox.Container{Image: busybox, Command: []string{"sleep", "60"}}}}
		s := open(t, p, spec)
		for _, id := range []string{s.Info().JobContainer.ID, s.Info().ServiceInfo["s"].ID} {
			got, err := l.engine.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			same(t, "runtime", got.Container.HostConfig.Runtime, "runc")
		}
		contains(t, "details", strings.Join(s.Info().Details, "\n"), "Runtime: runc")
	})
	t.Run("one that there is not", func(t *testing.T) {
		p := l.provider(t, container.Options{Runtime: "runsc-that-is-not-there"})
		contains(t, "error", refused(t, p, newSpec()), "does not know the runtime of container.runtime", "runsc-that-is-not-there")
	})
	t.Run("a workflow's", func(t *testing.T) {
		p := l.provider(t, container.Options{})
		spec := newSpec()
		spec.Container = &sandbox.Container{Image: busybox, Options: "--runtime runc"}
		contains(t, "error", refused(t, p, spec), "--runtime")
	})
}

// Without any capability, steps run as the user that the container starts as.
func TestNoCapabilities(t *testing.T) {
	l := engine(t)
	image := l.image(t, nil, "USER app")
	for _, options := range []string{"--cap-drop ALL", "--cap-drop ALL --user 1234:2345", "--cap-drop CHOWN --cap-drop SETUID"} {
		t.Run(options, func(t *testing.T) {
			p := l.provider(t, container.Options{})
			spec := newSpec()
			spec.Container = &sandbox.Container{Image: image, Options: options}
			s := open(t, p, spec)
			same(t, "user", sh(t, s, "id -u; id -g"), "1234\n2345")
			same(t, "a file in the workspace", sh(t, s, "touch file && stat -c %u file; rm file"), "1234")
			if err := s.WriteFiles(t.Context(), []sandbox.File{{Path: "a/b", Data: []byte("x")}}); err != nil {
				t.Error(err)
			}
			same(t, "its file", sh(t, s, "stat -c %u a/b; rm -r a && echo gone"), "1234\ngone")
		})
	}
}
