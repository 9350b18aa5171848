package helperbin

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

func pack(t *testing.T, program string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(program)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBytes(t *testing.T) {
	embedded := fstest.MapFS{"bin/helper-linux-amd64.gz": {Data: pack(t, "the program")}}
	own := func(string) ([]byte, error) { return []byte("itself"), nil }
	got, err := bytesFrom(embedded, "amd64", own)
	if err != nil || string(got) != "the program" {
		t.Errorf("%q, %v", got, err)
	}
	got, err = bytesFrom(embedded, "arm64", own)
	if err != nil || string(got) != "itself" {
		t.Errorf("%q, %v", got, err)
	}
	for want, call := range map[string]func() ([]byte, error){
		"riscv64": func() ([]byte, error) { return bytesFrom(embedded, "riscv64", own) },
		"make build": func() ([]byte, error) {
			return bytesFrom(embedded, "arm64", func(string) ([]byte, error) { return nil, errors.New("no") })
		},
		"unpack": func() ([]byte, error) {
			return bytesFrom(fstest.MapFS{"bin/helper-linux-amd64.gz": {Data: []byte("junk")}}, "amd64", own)
		},
		"unexpected": func() ([]byte, error) {
			return bytesFrom(fstest.MapFS{"bin/helper-linux-amd64.gz": {Data: pack(t, strings.Repeat("x", 9000))[:20]}}, "amd64", own)
		},
	} {
		if got, err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, error %v, want %q in it", got, err, want)
		}
	}
}

// TestFresh compares what is embedded, if anything is, with what the source makes.
func TestFresh(t *testing.T) {
	packed, err := programs.ReadFile("bin/helper-linux-" + runtime.GOARCH + ".gz")
	if err != nil {
		return
	}
	embedded, err := bytesFrom(programs, runtime.GOARCH, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "helper")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", out, "../helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	fresh, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(embedded, fresh) {
		t.Errorf("the embedded helper (%d bytes packed) is not what the source makes: run `make build`", len(packed))
	}
}

// TestOwnProgram builds a program that is the helper when it is asked to.
func TestOwnProgram(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIP own program: containers are Linux")
	}
	if _, err := ownProgram("mips"); err == nil || !strings.Contains(err.Error(), runtime.GOARCH) {
		t.Errorf("error %v", err)
	}
	if _, err := ownProgram(runtime.GOARCH); err == nil {
		t.Error("a test is taken for the helper")
	}
	out := filepath.Join(t.TempDir(), "helper")
	build := exec.Command("go", "build", "-o", out, "../helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkStatic(program); err != nil {
		t.Errorf("a static program: %v", err)
	}
	if shell, err := os.ReadFile("/bin/sh"); err == nil && checkStatic(shell) == nil && bytes.Contains(shell, []byte("ld-linux")) {
		t.Error("a program that needs a loader is taken for a static one")
	}
	if err := checkStatic([]byte("#!/bin/sh\n")); err == nil {
		t.Error("a script is taken for a program")
	}
	text, err := exec.Command(out, Argument, "--version").Output()
	if err != nil || !strings.Contains(string(text), "protocol") {
		t.Errorf("%q, %v", text, err)
	}
	if code, asked := Main([]string{"runner", "serve"}); asked || code != 0 {
		t.Error("Main is the helper without being asked")
	}
}
