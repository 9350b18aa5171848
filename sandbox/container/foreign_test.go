package container_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/container/helperbin"
)

// A program for another architecture, as all are in an image for one: the job's
// container works, since its first process is the engine's kind, and the step says
// what is wrong where nothing emulates.
func TestForeignProgram(t *testing.T) {
	l := engine(t)
	foreign := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	program := goProgram(t, "package main\n\nfunc main() { println(\"emulated\") }\n", "GOARCH="+foreign)
	spec := newSpec()
	spec.Image = l.image(t, map[string]string{"bin/foreign": program})
	s := open(t, l.provider(t, container.Options{}), spec)
	res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"foreign"}})
	switch {
	case err == nil && res.ExitCode == 0:
		t.Log("this machine emulates " + foreign)
	case err == nil || !strings.Contains(err.Error(), "architecture"):
		t.Errorf("exit code %d, %v: want an error that tells of the architecture", res.ExitCode, err)
	}
	same(t, "the next step", sh(t, s, "echo works"), "works")
}

// TestForeignImage: one that says that it is for another architecture. The helper runs
// there, and the job's log says what to expect of the image's own programs.
func TestForeignImage(t *testing.T) {
	l := engine(t)
	foreign := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	name := fmt.Sprintf("otelrunner-test-foreign-%d:1", os.Getpid())
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: "bin/sh", Mode: 0o755, Size: int64(len(program))}) // a Buffer takes everything
	_, _ = w.Write(program)
	_ = w.Close()
	sum := sha256.Sum256(archive.Bytes())
	config := fmt.Sprintf(`{"architecture": %q, "os": "linux", "config": {"Env": ["PATH=/bin"]}, "rootfs": {"type": "layers", "diff_ids": ["sha256:%x"]}}`, foreign, sum)
	var saved bytes.Buffer
	w = tar.NewWriter(&saved)
	for _, file := range []struct{ name, data string }{
		{"layer.tar", archive.String()}, {"config.json", config},
		{"manifest.json", fmt.Sprintf(`[{"Config": "config.json", "RepoTags": [%q], "Layers": ["layer.tar"]}]`, name)},
	} {
		_ = w.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.data))}) // as above
		_, _ = io.WriteString(w, file.data)
	}
	_ = w.Close()
	loaded, err := l.engine.ImageLoad(t.Context(), &saved)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, loaded)
	_ = loaded.Close()
	t.Cleanup(func() {
		_, _ = l.engine.ImageRemove(context.Background(), name, client.ImageRemoveOptions{Force: true})
	})
	spec := newSpec()
	spec.Image = name
	s := open(t, l.provider(t, container.Options{}), spec)
	same(t, "a program of the machine's own kind", sh(t, s, "echo works"), "works")
	contains(t, "details", strings.Join(s.Info().Details, "\n"), "The image is for "+foreign+" and the machine of its container is "+runtime.GOARCH, "only if that machine emulates them")
}

// TestForeignEngine: there is no helper for the engine's machine.
func TestForeignEngine(t *testing.T) {
	_, err := helperbin.Bytes("s390x")
	if err == nil || !strings.Contains(err.Error(), "the container engine's machine is s390x") || !strings.Contains(err.Error(), "amd64 and arm64") {
		t.Errorf("%v", err)
	}
}
