package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"otelrunner/sandbox"
	"otelrunner/sandbox/fake"
)

func open(t *testing.T, p *fake.Provider) *fake.Sandbox {
	t.Helper()
	s, err := p.Open(t.Context(), sandbox.Spec{ID: "job"})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*fake.Sandbox)
}

func TestProgramPlaysCommands(t *testing.T) {
	p := &fake.Provider{Program: func(ctx context.Context, s *fake.Sandbox, c *sandbox.Command) (sandbox.Result, error) {
		data, err := s.ReadFile(ctx, "/temp/script", 100)
		if err != nil {
			return sandbox.Result{}, err
		}
		fmt.Fprintf(c.Stdout, "ran %s", data)
		return sandbox.Result{ExitCode: 3}, s.WriteFiles(ctx, []sandbox.File{{Path: "/temp/out", Data: []byte("k=v")}})
	}}
	s := open(t, p)
	var out strings.Builder
	res, err := s.Run(t.Context(), &sandbox.Command{
		Args:    []string{"sh", "/temp/script"},
		Files:   []sandbox.File{{Path: "/temp/script", Data: []byte("echo")}},
		Collect: []string{"/temp/out", "/temp/never"},
		Remove:  []string{"/temp/script", "/temp/out"},
		Stdout:  &out,
	})
	if err != nil || res.ExitCode != 3 || out.String() != "ran echo" {
		t.Errorf("Run: %+v, %v, output %q", res, err, out.String())
	}
	if got := string(res.Collected["/temp/out"]); got != "k=v" || len(res.Collected) != 1 {
		t.Errorf("collected %q", res.Collected)
	}
	if left := s.Files(); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if n := len(s.Commands()); n != 1 {
		t.Errorf("%d commands", n)
	}
}

func TestErrorsOfTheContract(t *testing.T) {
	s := open(t, &fake.Provider{Programs: []string{"sh"}})
	if _, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"bash"}}); !is[*sandbox.NotFoundError](err) {
		t.Errorf("unknown program: %v", err)
	}
	if _, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh"}, Dir: "nowhere"}); !is[*sandbox.DirError](err) {
		t.Errorf("missing folder: %v", err)
	}
	if _, err := s.ReadFile(t.Context(), "nothing", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	cause := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := s.Run(ctx, &sandbox.Command{Args: []string{"sh"}}); !errors.Is(err, cause) {
		t.Errorf("ended context: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh"}}); err == nil {
		t.Error("Run after Close is accepted")
	}
	if err := s.Close(t.Context()); err == nil {
		t.Error("a second Close is accepted")
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestStageAndHashFiles(t *testing.T) {
	s := open(t, &fake.Provider{})
	path, err := s.Stage(t.Context(), "a/b", fstest.MapFS{"x/y": {Data: []byte("z")}})
	if err != nil || path != "/temp/a/b" || s.Files()["/temp/a/b/x/y"] != "z" {
		t.Errorf("staged at %s with %v: %v", path, s.Files(), err)
	}
	if again, err := s.Stage(t.Context(), "a/b", fstest.MapFS{}); again != path || err != nil {
		t.Errorf("staged again at %s: %v", again, err)
	}
	if err := s.WriteFiles(t.Context(), []sandbox.File{{Path: "go.sum", Data: []byte("s")}}); err != nil {
		t.Fatal(err)
	}
	sum, err := s.HashFiles(t.Context(), "", []string{"**/go.sum"}, false)
	if err != nil || len(sum) != 64 {
		t.Errorf("hash %q, %v", sum, err)
	}
}
