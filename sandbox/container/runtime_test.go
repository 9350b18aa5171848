package container_test

import (
	"bytes"
	"context"
	"path"
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
		up := newSignal()
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			_, err := s.(sandbox.ContainerRunner).RunContainer(ctx, &sandbox.ContainerCommand{Image: busybox,
				Entrypoint: []string{"sh", "-c", "echo up; sleep 60"}, Command: sandbox.Command{Stdout: up}})
			ended <- err
		}()
		up.wait(t)
		got, err := l.engine.ContainerInspect(t.Context(), "otelrunner-"+spec.ID+".action-1", client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "runtime of an action's container", got.Container.HostConfig.Runtime, "runc")
		cancel()
		<-ended // cancelled
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

// TestActionsUser: who the programs of actions' containers run as, and that they can
// write what the job's steps read.
func TestActionsUser(t *testing.T) {
	l := engine(t)
	app := l.image(t, nil, "USER app")
	for _, c := range []struct {
		flags, job, action, want string
	}{
		{"", busybox, app, "1234:2345"},
		{"", app, busybox, "0:0"},
		{"--user 77:88", app, app, "77:88"},
		// Without capabilities nobody can be another one, nor write another one's files.
		{"--cap-drop ALL", app, busybox, "1234:2345"},
		{"--cap-drop ALL", app, app, "1234:2345"},
		{"--cap-drop ALL", busybox, app, "0:0"},
		{"--cap-drop ALL --user 77:88", busybox, app, "77:88"},
	} {
		t.Run(c.flags+" "+c.job+" "+c.action, func(t *testing.T) {
			spec := newSpec()
			spec.Image = c.job
			s := open(t, l.provider(t, container.Options{Flags: c.flags}), spec)
			var out bytes.Buffer
			file := s.Info().Temp + "/output"
			command := sandbox.Command{Stdout: &out, Stderr: &out, Files: []sandbox.File{{Path: file}}, Collect: []string{file}, Remove: []string{file}}
			script := "echo $(id -u):$(id -g); touch $HOME/x && ls -d /github/workspace/.. > /dev/null"
			script += "; echo a=b >> " + file
			if c.flags != "" || c.want == "0:0" { // a workspace of root's is root's, as on GitHub
				script += "; touch by-action"
			}
			res, err := s.(sandbox.ContainerRunner).RunContainer(t.Context(), &sandbox.ContainerCommand{Image: c.action, Entrypoint: []string{"sh", "-ec", script}, Command: command})
			if err != nil || res.ExitCode != 0 {
				t.Fatalf("%+v, %v\n%s", res, err, out.String())
			}
			same(t, "user", strings.TrimSpace(out.String()), c.want)
			same(t, "output", string(res.Collected[file]), "a=b\n")
			same(t, "workspace", sh(t, s, "rm -f by-action; ls; ls "+path.Dir(file)), "")
		})
	}
}
