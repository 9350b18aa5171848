package rootfs

import (
	"io/fs"
	"math/rand/v2"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/experimental/sys"
)

// model is a file system in memory: what FuzzModel compares with.
type model map[string]string // path → content; folders end with /

func (m model) folder(name string) bool {
	_, ok := m[name+"/"]
	return name == "." || ok
}

func (m model) parent(name string) sys.Errno {
	dir := path.Dir(name)
	if m.folder(dir) {
		return 0
	}
	for d := dir; d != "."; d = path.Dir(d) {
		if _, file := m[d]; file {
			return sys.ENOTDIR
		}
	}
	return sys.ENOENT
}

func (m model) empty(name string) bool {
	for p := range m {
		if strings.HasPrefix(p, name+"/") && p != name+"/" {
			return false
		}
	}
	return true
}

// FuzzModel runs random calls on the file system and on the model.
func FuzzModel(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test
		fsys, inner := newFS(t, Limits{Bytes: 60, Files: 9})
		m := model{}
		names := []string{"a", "b", "a/a", "a/b", "b/a", "a/a/a"}
		for range 60 {
			name, other := names[r.IntN(len(names))], names[r.IntN(len(names))]
			var got, want sys.Errno
			var what string
			switch r.IntN(5) {
			case 0:
				data := strings.Repeat("x", r.IntN(20))
				what = "put " + name + " " + data
				got, want = put(t, fsys, name, data), m.put(name, data)
			case 1:
				what = "mkdir " + name
				got, want = fsys.Mkdir(name, 0o755), m.mkdir(name)
			case 2:
				what = "unlink " + name
				got, want = fsys.Unlink(name), m.unlink(name)
			case 3:
				what = "rmdir " + name
				got, want = fsys.Rmdir(name), m.rmdir(name)
			case 4:
				what = "rename " + name + " " + other
				got, want = fsys.Rename(name, other), m.rename(name, other)
			}
			if (got == 0) != (want == 0) {
				t.Fatalf("%s: %v, the model says %v\n%v", what, got, want, m)
			}
			m.compare(t, fsys, inner, what)
		}
	})
}

func (m model) used() (bytes, files int64) {
	for _, data := range m {
		bytes += int64(len(data))
		files++
	}
	return bytes, files
}

func (m model) put(name, data string) sys.Errno {
	bytes, files := m.used()
	old, exists := m[name]
	switch {
	case m.parent(name) != 0:
		return m.parent(name)
	case m.folder(name):
		return sys.EISDIR
	case !exists && files >= 9:
		return sys.EIO
	case bytes-int64(len(old))+int64(len(data)) > 60:
		m[name] = "" // it is truncated first
		return sys.EIO
	}
	m[name] = data
	return 0
}

func (m model) mkdir(name string) sys.Errno {
	_, files := m.used()
	_, exists := m[name]
	switch {
	case m.parent(name) != 0:
		return m.parent(name)
	case exists || m.folder(name):
		return sys.EEXIST
	case files >= 9:
		return sys.EIO
	}
	m[name+"/"] = ""
	return 0
}

func (m model) unlink(name string) sys.Errno {
	if _, exists := m[name]; !exists {
		return sys.ENOENT
	}
	delete(m, name)
	return 0
}

func (m model) rmdir(name string) sys.Errno {
	if !m.folder(name) || !m.empty(name) {
		return sys.ENOTEMPTY
	}
	delete(m, name+"/")
	return 0
}

func (m model) rename(from, to string) sys.Errno {
	_, file := m[from]
	_, toFile := m[to]
	switch {
	case !file && !m.folder(from):
		return sys.ENOENT
	case m.parent(to) != 0:
		return m.parent(to)
	case from == to:
		return 0
	case file && m.folder(to):
		return sys.EISDIR
	case !file && (toFile || strings.HasPrefix(to, from+"/") || m.folder(to) && !m.empty(to)):
		return sys.EINVAL
	}
	if file {
		m[to] = m[from]
		delete(m, from)
		return 0
	}
	moved := model{}
	for p, data := range m {
		if strings.HasPrefix(p, from+"/") {
			moved[to+strings.TrimPrefix(p, from)] = data
			delete(m, p)
		}
	}
	for p, data := range moved {
		m[p] = data
	}
	return 0
}

func (m model) compare(t *testing.T, fsys *FS, inner, what string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(inner, func(p string, d fs.DirEntry, err error) error {
		if p == inner || err != nil {
			return err
		}
		name, _ := filepath.Rel(inner, p)
		seen++
		if d.IsDir() {
			name += "/"
		}
		want, ok := m[name]
		if !ok {
			t.Fatalf("after %s: %s is not in the model", what, name)
		}
		if data, _ := get(fsys, name); !d.IsDir() && data != want {
			t.Fatalf("after %s: %s is %q, the model has %q", what, name, data, want)
		}
		return nil
	})
	bytes, files := used(fsys.quota)
	wantBytes, wantFiles := m.used()
	if err != nil || seen != len(m) || bytes != wantBytes || files != wantFiles {
		t.Fatalf("after %s: %d entries (model %d), %d bytes in %d files (model %d in %d), %v", what, seen, len(m), bytes, files, wantBytes, wantFiles, err)
	}
}
