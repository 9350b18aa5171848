package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestReproducible builds the module in two folders of different names and compares
// the bytes: the hash in a job's log is to be one that others can compute.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the module twice")
	}
	build := func(folder string) []byte {
		dir := filepath.Join(t.TempDir(), folder)
		copySources(t, dir, "..")
		file := filepath.Join(t.TempDir(), "toolbox.wasm")
		cmd := exec.CommandContext(t.Context(), "go", "run", "./build", "-o", file)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(dir)) {
			t.Errorf("the module names the folder %s that it was built in", dir)
		}
		return data
	}
	first, second := build("one"), build("another name/and deeper")
	if !bytes.Equal(first, second) {
		t.Errorf("two builds of %d and %d bytes differ", len(first), len(second))
	}
}

// copySources copies the guest's folder without what was built in it.
func copySources(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".build" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
