package hashfiles_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"otelrunner/sandbox/hashfiles"
)

// sum is the hash of files with these contents, in this order.
func sum(contents ...string) string {
	if len(contents) == 0 {
		return ""
	}
	all := sha256.New()
	for _, c := range contents {
		one := sha256.Sum256([]byte(c))
		all.Write(one[:])
	}
	return hex.EncodeToString(all.Sum(nil))
}

// workspace has files whose contents are their names.
func workspace(names ...string) fs.FS {
	m := fstest.MapFS{}
	for _, name := range names {
		m[name] = &fstest.MapFile{Data: []byte(name), Mode: 0o644}
	}
	return m
}

var names = []string{
	".github/dependabot.yml",
	".hidden",
	"Go.sum",
	"a.txt",
	"a/b/go.sum",
	"a/go.sum",
	"a/go.sum.bak",
	"go.mod",
	"go.sum",
	"lib/[x]/f",
	"lib/x/f",
	"lib/{a,b}",
	"node_modules/p/package-lock.json",
	"package-lock.json",
	"z/a.txt",
	"ä.txt",
}

func TestPatterns(t *testing.T) {
	const dir = "/home/ci/work/repo"
	for _, c := range []struct {
		patterns string
		want     []string
	}{
		{"go.sum", []string{"go.sum"}},
		{"./go.sum", []string{"go.sum"}},
		{"**/go.sum", []string{"a/b/go.sum", "a/go.sum", "go.sum"}},
		{"**/go.*", []string{"a/b/go.sum", "a/go.sum", "a/go.sum.bak", "go.mod", "go.sum"}},
		{"*/go.sum", []string{"a/go.sum"}},
		{"a/**/go.sum", []string{"a/b/go.sum", "a/go.sum"}},
		{"a/**", []string{"a/b/go.sum", "a/go.sum", "a/go.sum.bak"}},
		{"a", []string{"a/b/go.sum", "a/go.sum", "a/go.sum.bak"}}, // implicit descendants
		{"a/", []string{"a/b/go.sum", "a/go.sum", "a/go.sum.bak"}},
		{"go.sum/", nil}, // a folder is asked for
		{"**/b", []string{"a/b/go.sum"}},
		{"nothing", nil},
		{"", nil},
		{"# comment\n\n  go.mod  \n", []string{"go.mod"}},
		{"**/go.sum\n!a/**", []string{"go.sum"}},
		{"**/go.sum\n!a", []string{"go.sum"}},
		{"**/go.sum\n!a/b\n", []string{"a/go.sum", "go.sum"}},
		{"!a/**\n**/go.sum", []string{"a/b/go.sum", "a/go.sum", "go.sum"}}, // the last one wins
		{"**/go.sum\n!**/go.sum\na/go.sum", []string{"a/go.sum"}},
		{"!!go.sum", []string{"go.sum"}},
		{"! a", nil},
		{"**/package-lock.json\n!**/node_modules/**", []string{"package-lock.json"}},
		{".hidden", []string{".hidden"}},
		{"*idden", []string{".hidden"}}, // hidden files are matched
		{"*/*.yml", []string{".github/dependabot.yml"}},
		{"go.s?m", []string{"go.sum"}},
		{"go.s??m", nil},
		{"go.[st]um", []string{"go.sum"}},
		{"go.[a-z]um", []string{"go.sum"}},
		{"go.[!a-z]um", nil},
		{"[A-Z]o.sum", []string{"Go.sum"}},
		{"[^A-Z]o.sum", []string{"go.sum"}},
		{"?.txt", []string{"a.txt", "ä.txt"}},
		{"go.sum*", []string{"go.sum"}},
		{"g*m", []string{"go.sum"}},
		{"lib/[[]x]/f", []string{"lib/[x]/f"}},
		{`lib/\[x\]/f`, []string{"lib/[x]/f"}},
		{"lib/[x]/f", []string{"lib/x/f"}},
		{"lib/{a,b}", []string{"lib/{a,b}"}}, // braces are ordinary
		{"lib/@(x)/f", nil},                  // and so are extended globs
		{"a**/go.sum", []string{"a/go.sum"}}, // ** within a name is *
		{"a*", []string{"a/b/go.sum", "a/go.sum", "a/go.sum.bak", "a.txt"}},
		{"z\na.txt", []string{"z/a.txt", "a.txt"}},            // pattern by pattern
		{"z/*\n*.txt", []string{"a.txt", "z/a.txt", "ä.txt"}}, // but one search where they overlap
		{"a.txt\na.txt", []string{"a.txt"}},
		{dir + "/a/go.sum", []string{"a/go.sum"}},
		{dir + "/**/go.mod", []string{"go.mod"}},
		{"/home/**/go.mod", []string{"go.mod"}},
		{"/home/*/work/r[e]po/go.mod", []string{"go.mod"}},
		{"/etc/**", nil},
		{dir + "2/**", nil},
		{"~/work/repo/go.mod", []string{"go.mod"}},
		{"~\n!~/work/repo/*/*\n!~/work/repo/[!g]*", []string{"go.mod", "go.sum"}},
	} {
		got, err := hashfiles.Hash(t.Context(), workspace(names...), hashfiles.Options{Dir: dir, Home: "/home/ci"}, []string{c.patterns})
		if err != nil {
			t.Errorf("%q: %v", c.patterns, err)
		} else if want := sum(c.want...); got != want {
			t.Errorf("%q selects other files than %q (one of them: %s)", c.patterns, c.want, guess(got))
		}
	}
}

// guess names the single file that gives a hash, for the message of a failure.
func guess(hash string) string {
	for _, name := range names {
		if sum(name) == hash {
			return name
		}
	}
	return "several"
}

func TestSeveralArguments(t *testing.T) {
	got, err := hashfiles.Hash(t.Context(), workspace(names...), hashfiles.Options{Dir: "/w"}, []string{"z", "go.mod"})
	if err != nil || got != sum("z/a.txt", "go.mod") {
		t.Errorf("hash %s, %v", got, err)
	}
}

func TestOrderIsByNames(t *testing.T) {
	// As paths, "a-b" and "a.txt" come before "a/x"; as names, "a" is first.
	files := []string{"a/x", "a-b", "a.txt"}
	got, err := hashfiles.Hash(t.Context(), workspace(files...), hashfiles.Options{Dir: "/w"}, []string{"**"})
	if err != nil || got != sum(files...) {
		t.Errorf("hash %s, %v; want the order of %q", got, err, files)
	}
}

func TestBadPatterns(t *testing.T) {
	for _, pattern := range []string{"../x", "a/../b", "a/./b", "!", "..", "~/x", "/"} {
		_, err := hashfiles.Hash(t.Context(), workspace("x"), hashfiles.Options{Dir: "/w"}, []string{pattern})
		if err == nil || !strings.Contains(err.Error(), pattern) {
			t.Errorf("%q: error %v", pattern, err)
		}
	}
}

func TestWindows(t *testing.T) {
	o := hashfiles.Options{Dir: `C:\work\repo`, Windows: true}
	for pattern, want := range map[string]string{
		`a\GO.S*`:                sum("a/go.sum"),
		`c:\Work\repo\a\go.sum`:  sum("a/go.sum"),
		`C:/work/repo/**/go.mod`: sum("go.mod"),
		`d:\**`:                  "",
	} {
		got, err := hashfiles.Hash(t.Context(), workspace("a/go.sum", "go.mod"), o, []string{pattern})
		if err != nil || got != want {
			t.Errorf("%s: hash %q, want %q, %v", pattern, got, want, err)
		}
	}
}

func TestDirWithGlobCharacters(t *testing.T) {
	for _, dir := range []string{"/w/[a]*?", `/w/back\slash`, "/w/a b"} {
		for _, pattern := range []string{"go.mod", "./*.mod"} {
			got, err := hashfiles.Hash(t.Context(), workspace("go.mod"), hashfiles.Options{Dir: dir}, []string{pattern})
			if err != nil || got != sum("go.mod") {
				t.Errorf("%s in %s: hash %q, %v", pattern, dir, got, err)
			}
		}
	}
}

func TestSymbolicLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need rights here")
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "real"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "real/f"), []byte("f"), 0o644))
	must(t, os.Symlink("real", filepath.Join(dir, "tofolder")))
	must(t, os.Symlink("real/f", filepath.Join(dir, "tofile")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "broken")))
	must(t, os.Symlink("..", filepath.Join(dir, "real/circle")))
	for follow, want := range map[bool]string{false: sum("f", "f"), true: sum("f", "f", "f")} {
		got, err := hashfiles.Hash(t.Context(), os.DirFS(dir), hashfiles.Options{Dir: dir, FollowSymlinks: follow}, []string{"**"})
		if err != nil || got != want {
			t.Errorf("follow %v: hash %s, want %s, %v", follow, got, want, err)
		}
	}
}

// TestLinksThatMultiply has folders lead to each other, along more paths than
// anybody could walk.
func TestLinksThatMultiply(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need rights here")
	}
	dir := t.TempDir()
	const folders = 12
	for i := range folders {
		must(t, os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755))
		for j := range folders {
			must(t, os.Symlink(filepath.Join("..", fmt.Sprint(j)), filepath.Join(dir, fmt.Sprint(i), fmt.Sprint(j))))
		}
	}
	_, err := hashfiles.Hash(t.Context(), os.DirFS(dir), hashfiles.Options{Dir: dir, FollowSymlinks: true}, []string{"**"})
	if err == nil || !strings.Contains(err.Error(), "leave out --follow-symbolic-links") {
		t.Errorf("error %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContextEnds(t *testing.T) {
	cause := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := hashfiles.Hash(ctx, workspace("x"), hashfiles.Options{Dir: "/w"}, []string{"**"})
	if !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"**/go.sum", "!a/**\n**", "[!a-]*?\\", "~/x", "./[[]", "***a***b", "{a,b}", "[z-a]", "#x", "\xff[\xff]"} {
		f.Add(seed)
	}
	tree := workspace(names...)
	f.Fuzz(func(t *testing.T, pattern string) {
		for _, windows := range []bool{false, true} {
			got, err := hashfiles.Hash(t.Context(), tree, hashfiles.Options{Dir: "/w", Home: "/h", Windows: windows}, []string{pattern})
			if err != nil && got != "" || err == nil && got != "" && len(got) != 64 {
				t.Errorf("%q: %q, %v", pattern, got, err)
			}
		}
	})
}

// A pattern of many stars must not take time that grows with their power.
func TestManyStars(t *testing.T) {
	tree := workspace(strings.Repeat("a", 200), strings.Repeat("a/", 60)+"f")
	for _, pattern := range []string{strings.Repeat("*a", 100) + "b", strings.Repeat("**/", 100) + "b", strings.Repeat("**/a/", 30) + "b"} {
		got, err := hashfiles.Hash(t.Context(), tree, hashfiles.Options{Dir: "/w"}, []string{pattern})
		if err != nil || got != "" {
			t.Errorf("%s: %q, %v", pattern, got, err)
		}
	}
}
