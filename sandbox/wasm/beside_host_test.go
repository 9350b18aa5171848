package wasm_test

import (
	"context"
	"io"
	"runtime"
	"testing"

	"otelrunner/sandbox"
	"otelrunner/sandbox/host"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// TestBesideHost runs a step while a host job ends, which ends all processes that
// may be its own.
func TestBesideHost(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the host job runs sh")
	}
	j := open(t, newProvider(t, nil))
	hosts, err := host.New(t.Context(), host.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	// Reads its stdin to the end.
	c := j.put(program(0, "", w.While(
		w.Const(0), w.Const(2048), w.Store(), w.Const(4), w.Const(1000), w.Store(),
		w.Const(0), w.Const(0), w.Const(1), w.Const(8), w.Call(fRead), w.Drop(), w.Const(8), w.Load(),
	)).Bytes())
	stdin, toStep := io.Pipe()
	c.Stdin = stdin
	ended := make(chan error, 1)
	go func() {
		_, err := j.Run(t.Context(), c)
		ended <- err
	}()
	if _, err := toStep.Write([]byte("it runs")); err != nil {
		t.Fatal(err)
	}
	s, err := hosts.Open(t.Context(), sandbox.Spec{ID: "beside", Repository: "octo/hello"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "true"}}); err != nil {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	_ = toStep.Close()
	if err := <-ended; err != nil {
		t.Errorf("the step beside the host job: %v", err)
	}
}
