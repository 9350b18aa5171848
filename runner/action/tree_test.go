package action

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

// build makes a tree of a list of files and links: "dir/", "file", "link>target".
func build(t *testing.T, spec string) *Tree {
	t.Helper()
	var b bytes.Buffer
	w := newArchiveWriter(&b, 1<<20)
	made := map[string]bool{}
	add := func(name string, mode fs.FileMode, data string) {
		if made[name] {
			return
		}
		made[name] = true
		if err := w.writeFile(name, mode, strings.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	for item := range strings.FieldsSeq(spec) {
		name, target, isLink := strings.Cut(item, ">")
		for i := range len(name) {
			if name[i] == '/' {
				add(name[:i+1], fs.ModeDir|0o755, "")
			}
		}
		switch {
		case strings.HasSuffix(name, "/"):
		case isLink:
			add(name, fs.ModeSymlink|0o777, target)
		default:
			add(name, 0o644, "contents of "+name)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	tree, _, err := newTree(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Skip(err)
	}
	return tree
}

func TestTreeFS(t *testing.T) {
	tree := build(t, "a b/c b/d/e l>b/c b/up>../a b/dir>d")
	if err := fstest.TestFS(tree, "a", "b/c", "b/d/e", "l", "b/up"); err != nil {
		t.Error(err)
	}
	if _, err := tree.Open("b/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := tree.Open("../a"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	loop := build(t, "x>y y>x")
	if _, err := loop.Open("x"); !errors.Is(err, errLinkLoop) {
		t.Errorf("a loop: %v", err)
	}
}

// FuzzTreeLinks writes trees to the disk and lets the system follow their links:
// none that was kept may lead out.
func FuzzTreeLinks(f *testing.F) {
	for _, s := range []string{
		"a l>a", "l>/etc", "l>../x", "d/l>../../x", "d/up>.. d/x>up/../y", "a>b b>c c>../x", "p/q/d>../.. z>p/q/d/../w",
		"l>none/../../x", "x>y y>x", "d/e/ l>d/../d/e/../../..", "l>.", "l>a\\..\\..", "a/b>. a/c>b/b/../../..",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if runtime.GOOS == "windows" {
			t.Skip("links need a privilege")
		}
		if len(spec) > 200 || strings.ContainsFunc(spec, func(r rune) bool { return r < ' ' || r > '~' }) {
			return
		}
		for item := range strings.FieldsSeq(spec) {
			name, target, isLink := strings.Cut(item, ">")
			if name = strings.TrimSuffix(name, "/"); !fs.ValidPath(name) || name == "." || isLink && target == "" {
				return
			}
		}
		tree := build(t, spec)
		outer := t.TempDir()
		root := filepath.Join(outer, "in", "root")
		err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			to := filepath.Join(root, name)
			switch {
			case d.IsDir():
				return os.MkdirAll(to, 0o700)
			case d.Type()&fs.ModeSymlink != 0:
				target, err := tree.ReadLink(name)
				if err != nil {
					return err
				}
				return os.Symlink(target, to)
			}
			return os.WriteFile(to, nil, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		// Whatever a link could reach outside is put there.
		if err := os.WriteFile(filepath.Join(outer, "in", "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.Type()&fs.ModeSymlink == 0 {
				return err
			}
			led, broken := filepath.EvalSymlinks(name)
			if broken == nil && led != root && !strings.HasPrefix(led, root+"/") {
				t.Errorf("%q: %s leads to %s", spec, name, led)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
