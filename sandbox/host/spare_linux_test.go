package host

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// newSpares returns spares in a folder of the test, and a way to name files there. It
// skips where the file system gives no leases.
func newSpares(t *testing.T) (*spares, func(name string) string) {
	t.Helper()
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	put(t, in("probe"), "")
	if !withAlone(in("probe"), os.Geteuid(), func(int, *unix.Stat_t) bool { return true }) {
		t.Skip("this file system does not say who has a file open (fcntl F_SETLEASE)")
	}
	return &spares{folder: folder, owner: os.Geteuid()}, in
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

func gone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func TestSpareBecomesAnotherFile(t *testing.T) {
	for name, old := range map[string]string{"empty": "", "written": "a long secret of the last step"} {
		t.Run(name, func(t *testing.T) {
			s, in := newSpares(t)
			put(t, in("first"), old)
			number := inode(t, in("first"))
			if !s.keep(in("first")) || !gone(in("first")) {
				t.Fatal("the file was not put aside")
			}
			if text, err := os.ReadFile(s.free[0]); err != nil || len(text) != 0 {
				t.Errorf("the spare holds %q, %v", text, err)
			}
			spare := s.free[0]
			if !s.take(in("second"), []byte("true\n"), 0o755) {
				t.Fatal("the spare was not taken")
			}
			text, err := os.ReadFile(in("second"))
			if err != nil || string(text) != "true\n" {
				t.Errorf("the new file holds %q, %v", text, err)
			}
			info, err := os.Stat(in("second"))
			if err != nil || info.Mode() != 0o755 {
				t.Errorf("its mode is %v, %v", info.Mode(), err)
			}
			if inode(t, in("second")) != number || !gone(spare) {
				t.Error("it is not the spare")
			}
			if s.take(in("third"), nil, 0) {
				t.Error("one spare was taken twice")
			}
		})
	}
}

// TestNotPutAside keeps files as they are that somebody else could reach.
func TestNotPutAside(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string) any{
		"open for reading": func(t *testing.T, path string) any {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
		"another name": func(t *testing.T, path string) any {
			if err := os.Link(path, path+"-too"); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"a link": func(t *testing.T, path string) any {
			if err := os.Rename(path, path+"-too"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path+"-too", path); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"a pipe": func(t *testing.T, path string) any {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"nothing": func(t *testing.T, path string) any {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, in := newSpares(t)
			put(t, in("file"), "content")
			held := change(t, in("file"))
			if s.keep(in("file")) {
				t.Error("it was put aside")
			}
			if f, ok := held.(*os.File); ok {
				defer f.Close()
				if text, err := io.ReadAll(f); err != nil || string(text) != "content" {
					t.Errorf("who has it open reads %q, %v", text, err)
				}
			}
			if text, err := os.ReadFile(in("file-too")); err == nil && string(text) != "content" {
				t.Errorf("its other name holds %q", text)
			}
		})
	}
	t.Run("outside of the folder", func(t *testing.T) {
		s, in := newSpares(t)
		s.folder = in("temp")
		put(t, in("file"), "")
		if s.keep(in("file")) || s.take(in("file"), nil, 0) {
			t.Error("it was put aside")
		}
	})
	t.Run("of another user", func(t *testing.T) {
		s, in := newSpares(t)
		s.owner++
		put(t, in("file"), "content")
		if s.keep(in("file")) {
			t.Error("it was put aside")
		}
	})
	t.Run("too many", func(t *testing.T) {
		s, in := newSpares(t)
		for i := range maxSpares + 1 {
			put(t, in("file"), "")
			if got, want := s.keep(in("file")), i < maxSpares; got != want {
				t.Errorf("number %d: %v", i, got)
			}
		}
	})
}

// TestNotTaken does to a spare what a process that an earlier step has left could
// do to it, and sees that it becomes no other step's file.
func TestNotTaken(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, spare, victim string) io.Closer{
		"open": func(t *testing.T, spare, _ string) io.Closer {
			f, err := os.OpenFile(spare, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
		"written": func(t *testing.T, spare, _ string) io.Closer {
			put(t, spare, "LD_PRELOAD=mine")
			return nil
		},
		"mapped": func(t *testing.T, spare, _ string) io.Closer {
			f, err := os.OpenFile(spare, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			memory, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			return closer(func() error { return unix.Munmap(memory) })
		},
		"linked": func(t *testing.T, spare, victim string) io.Closer {
			if err := os.Link(spare, victim+"-too"); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"a link to another file": func(t *testing.T, spare, victim string) io.Closer {
			if err := os.Remove(spare); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(victim, spare); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"a pipe": func(t *testing.T, spare, _ string) io.Closer {
			if err := os.Remove(spare); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mkfifo(spare, 0o600); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"removed": func(t *testing.T, spare, _ string) io.Closer {
			if err := os.Remove(spare); err != nil {
				t.Fatal(err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, in := newSpares(t)
			put(t, in("victim"), "")
			put(t, in("first"), "")
			if !s.keep(in("first")) {
				t.Fatal("the file was not put aside")
			}
			spare := s.free[0]
			if c := change(t, spare, in("victim")); c != nil {
				defer c.Close()
			}
			if s.take(in("second"), []byte("true\n"), 0) || !gone(in("second")) {
				t.Error("it was taken")
			}
			if !gone(spare) {
				t.Error("it is still there")
			}
			if text, err := os.ReadFile(in("victim")); err != nil || len(text) > 0 {
				t.Errorf("another file holds %q, %v", text, err)
			}
		})
	}
}

type closer func() error

func (c closer) Close() error { return c() }
