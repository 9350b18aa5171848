//go:build unix

package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/host"
	"otelrunner/sandbox/sandboxtest"
)

func provider(t testing.TB, o host.Options) sandbox.Provider {
	t.Helper()
	if o.Root == "" {
		o.Root = t.TempDir()
	}
	p, err := host.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestConformance runs the suite with each way to hold processes together.
func TestConformance(t *testing.T) {
	for name, o := range map[string]host.Options{
		"groups":   {},
		"tracking": {NoControlGroup: true},
	} {
		t.Run(name, func(t *testing.T) {
			sandboxtest.Run(t, sandboxtest.Harness{
				Provider: func(t *testing.T) sandbox.Provider { return provider(t, o) },
				Outside:  true,
			})
		})
	}
}

func open(t testing.TB, p sandbox.Provider, spec sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	if spec.ID == "" {
		spec.ID = "job"
	}
	s, err := p.Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeBox(t testing.TB, s sandbox.Sandbox) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// output runs a script and returns what it wrote.
func output(t testing.TB, s sandbox.Sandbox, script string) string {
	t.Helper()
	var out bytes.Buffer
	res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%s: exit code %d, %v\n%s", script, res.ExitCode, err, out.String())
	}
	return out.String()
}

// TestEnvironment has nothing in it but what is meant to be.
func TestEnvironment(t *testing.T) {
	p := provider(t, host.Options{Environ: []string{
		"PATH=/usr/bin:/bin", "HOME=/home/ci", "LANG=C", "LC_ALL=C", "TZ=UTC", "USER=ci", "http_proxy=http://p", "NO_PROXY=x",
		"GITEA_RUNNER_REGISTRATION_TOKEN=secret", "RUNNER_TOKEN=secret", "OTEL_EXPORTER_OTLP_HEADERS=secret",
		"AWS_SECRET_ACCESS_KEY=secret", "RUNNER_CAPACITY=3", "GITHUB_TOKEN=secret", "INVOCATION_ID=x", "odd",
	}})
	s := open(t, p, sandbox.Spec{Env: map[string]string{"FROM_CONFIG": "1"}})
	defer closeBox(t, s)
	var names []string
	for line := range strings.Lines(output(t, s, "env")) {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"FROM_CONFIG", "HOME", "LANG", "LC_ALL", "NO_PROXY", "PATH", "PWD", "RUNNER_TRACKING_ID", "TMPDIR", "TZ", "USER", "_", "http_proxy"}
	got := slices.DeleteFunc(names, func(n string) bool { return n == "SHLVL" || n == "OLDPWD" })
	if !slices.Contains(got, "_") { // a shell may or may not set it
		want = slices.DeleteFunc(want, func(n string) bool { return n == "_" })
	}
	if !slices.Equal(got, want) {
		t.Errorf("variables are %v, want %v", got, want)
	}
	if s.Info().Home != "/home/ci" {
		t.Errorf("home is %s", s.Info().Home)
	}
	if tmp := strings.TrimSpace(output(t, s, `f=$(mktemp); echo "$f"`)); !strings.HasPrefix(tmp, s.Info().Temp) {
		t.Errorf("mktemp makes %s, which is not in the job's folder", tmp)
	}
}

func TestFoldersArePrivate(t *testing.T) {
	root := t.TempDir()
	s := open(t, provider(t, host.Options{Root: root}), sandbox.Spec{ID: "abc", Repository: "octo/hello"})
	info, err := os.Stat(filepath.Join(root, "abc"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info, err)
	}
	if want := filepath.Join(root, "abc", "hello"); s.Info().Workspace != want {
		t.Errorf("workspace %s, want %s", s.Info().Workspace, want)
	}
	closeBox(t, s)
	left, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if entry.Name() != "tool_cache" && entry.Name() != ".jobs" {
			t.Errorf("%s is left", entry.Name())
		}
	}
	if locks, _ := os.ReadDir(filepath.Join(root, ".jobs")); len(locks) != 0 {
		t.Errorf("locks are left: %v", locks)
	}
}

func TestRefusals(t *testing.T) {
	p := provider(t, host.Options{})
	for want, spec := range map[string]sandbox.Spec{
		"golang:1": {ID: "a", Container: &sandbox.Container{Image: "golang:1"}},
		"postgres": {ID: "a", Services: []sandbox.Service{{Name: "postgres"}}},
	} {
		_, err := p.Open(t.Context(), spec)
		if !errors.Is(err, sandbox.ErrUnsupported) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "docker://") {
			t.Errorf("error %v", err)
		}
	}
	for _, id := range []string{"", "..", "a/b", "A", ".jobs"} {
		if _, err := p.Open(t.Context(), sandbox.Spec{ID: id}); err == nil {
			t.Errorf("id %q is accepted", id)
		}
	}
	for repository, want := range map[string]string{"": "workspace", "..": "workspace", "a/..": "workspace", "/": "workspace", "octo/_temp": "workspace", "octo/hello": "hello"} {
		s := open(t, p, sandbox.Spec{ID: "refusals", Repository: repository})
		if ws := s.Info().Workspace; filepath.Base(ws) != want || filepath.Base(filepath.Dir(ws)) != "refusals" {
			t.Errorf("repository %q: workspace %s", repository, ws)
		}
		closeBox(t, s)
	}
}

func TestOneJobOfAName(t *testing.T) {
	root := t.TempDir()
	p := provider(t, host.Options{Root: root})
	s := open(t, p, sandbox.Spec{ID: "same"})
	output(t, s, "echo x > kept")
	for _, other := range []sandbox.Provider{p, provider(t, host.Options{Root: root})} {
		if _, err := other.Open(t.Context(), sandbox.Spec{ID: "same"}); err == nil || !strings.Contains(err.Error(), "same") {
			t.Errorf("a second job of the same name: error %v", err)
		}
	}
	if got := output(t, s, "cat kept"); got != "x\n" {
		t.Errorf("the first job's file has %q", got)
	}
	closeBox(t, s)
	closeBox(t, open(t, p, sandbox.Spec{ID: "same"}))
}

// TestJobsSideBySide ends one of two jobs, both full of processes that have shed
// what they can shed.
func TestJobsSideBySide(t *testing.T) {
	for name, o := range map[string]host.Options{"groups": {}, "tracking": {NoControlGroup: true}} {
		t.Run(name, func(t *testing.T) {
			p := provider(t, o)
			beats := t.TempDir()
			start := func(id string) sandbox.Sandbox {
				s := open(t, p, sandbox.Spec{ID: id})
				output(t, s, fmt.Sprintf(`(env -i PATH="$PATH" setsid sh -c '(while :; do echo x >> %s/%s; sleep 0.02; done) &' > /dev/null 2>&1); while [ ! -s %s/%s ]; do sleep 0.02; done`, beats, id, beats, id))
				return s
			}
			size := func(id string) int64 {
				info, err := os.Stat(filepath.Join(beats, id))
				if err != nil {
					t.Fatal(err)
				}
				return info.Size()
			}
			// alive waits up to limit for a sign of life.
			alive := func(id string, limit time.Duration) bool {
				before, end := size(id), time.Now().Add(limit)
				for size(id) == before {
					if time.Now().After(end) {
						return false
					}
					time.Sleep(20 * time.Millisecond)
				}
				return true
			}
			one, two := start("one"), start("two")
			closeBox(t, one)
			if alive("one", 200*time.Millisecond) {
				t.Error("a process of the first job has outlived it")
			}
			if !alive("two", 10*time.Second) {
				t.Error("the end of the first job has ended the second one's process")
			}
			closeBox(t, two)
			if alive("two", 200*time.Millisecond) {
				t.Error("a process has outlived its job")
			}
		})
	}
}

func TestScriptWithoutInterpreter(t *testing.T) {
	s := open(t, provider(t, host.Options{}), sandbox.Spec{})
	defer closeBox(t, s)
	for text, want := range map[string]string{"#!/no/such/shell\n": "interpreter", "no program": "#!"} {
		_, err := s.Run(t.Context(), &sandbox.Command{
			Args:  []string{"./script"},
			Files: []sandbox.File{{Path: "script", Data: []byte(text), Mode: 0o755}},
		})
		var notFound *sandbox.NotFoundError
		if !errors.As(err, &notFound) || !strings.Contains(notFound.Hint, want) {
			t.Errorf("%q: error %v", text, err)
		}
	}
	_, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"true", strings.Repeat("x", 4<<20)}})
	if err == nil || !strings.Contains(err.Error(), "longer than this system allows") {
		t.Errorf("too long an argument: error %v", err)
	}
}

// TestProgramWrittenAndRun writes programs and runs them at once, while other
// processes are forked: a fork may hold a file open for writing until its exec.
func TestProgramWrittenAndRun(t *testing.T) {
	p := provider(t, host.Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		s := open(t, p, sandbox.Spec{ID: fmt.Sprintf("busy-%d", i)})
		wg.Go(func() {
			defer closeBox(t, s)
			for range 50 {
				res, err := s.Run(t.Context(), &sandbox.Command{
					Args:  []string{"./script"},
					Files: []sandbox.File{{Path: "script", Data: []byte("#!/bin/sh\nexit 4\n"), Mode: 0o755}},
				})
				if err != nil || res.ExitCode != 4 {
					t.Errorf("exit code %d, %v", res.ExitCode, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestRootThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := host.New(t.Context(), host.Options{Root: filepath.Join(file, "root")})
	if err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

// BenchmarkStep compares a step with its script and command files to fork+exec
// of the same program.
func BenchmarkStep(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, o := range map[string]host.Options{"groups": {}, "tracking": {NoControlGroup: true}} {
		b.Run(name, func(b *testing.B) {
			s := open(b, provider(b, o), sandbox.Spec{})
			defer closeBox(b, s)
			temp := s.Info().Temp
			names := []string{temp + "/env", temp + "/output", temp + "/path", temp + "/state", temp + "/summary"}
			c := &sandbox.Command{Args: []string{"true"}, Collect: names, Remove: append(names, temp+"/script"), Stdout: io.Discard, Stderr: io.Discard}
			for _, name := range c.Remove {
				c.Files = append(c.Files, sandbox.File{Path: name})
			}
			for b.Loop() {
				if _, err := s.Run(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkJob opens and closes a sandbox with one step.
func BenchmarkJob(b *testing.B) {
	for name, o := range map[string]host.Options{"groups": {}, "tracking": {NoControlGroup: true}} {
		b.Run(name, func(b *testing.B) {
			p := provider(b, o)
			for b.Loop() {
				s := open(b, p, sandbox.Spec{})
				if _, err := s.Run(b.Context(), &sandbox.Command{Args: []string{"true"}}); err != nil {
					b.Fatal(err)
				}
				closeBox(b, s)
			}
		})
	}
}

// BenchmarkOutput is bytes a second through a pipe.
func BenchmarkOutput(b *testing.B) {
	s := open(b, provider(b, host.Options{}), sandbox.Spec{})
	defer closeBox(b, s)
	const size = 64 << 20
	b.SetBytes(size)
	for b.Loop() {
		c := &sandbox.Command{Args: []string{"head", "-c", strconv.Itoa(size), "/dev/zero"}, Stdout: io.Discard}
		if _, err := s.Run(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
