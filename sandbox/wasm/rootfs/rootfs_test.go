package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/experimental/sys"
)

func newFS(t *testing.T, l Limits) (*FS, string) {
	t.Helper()
	outer := t.TempDir()
	inner := filepath.Join(outer, "root")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outer, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(inner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return New(root, NewQuota(l), false), inner
}

func put(t *testing.T, f *FS, name, data string) sys.Errno {
	t.Helper()
	file, errno := f.OpenFile(name, sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC, 0o644)
	if errno != 0 {
		return errno
	}
	_, errno = file.Write([]byte(data))
	if e := file.Close(); e != 0 {
		t.Errorf("close %s: %v", name, e)
	}
	return errno
}

func get(f *FS, name string) (string, sys.Errno) {
	file, errno := f.OpenFile(name, sys.O_RDONLY, 0)
	if errno != 0 {
		return "", errno
	}
	defer file.Close()
	buf := make([]byte, 1<<16)
	n, errno := file.Read(buf)
	return string(buf[:n]), errno
}

func expect(t *testing.T, what string, got, want sys.Errno) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestNothingLeaves tries each call on paths that lead out of the root.
func TestNothingLeaves(t *testing.T) {
	f, inner := newFS(t, Limits{})
	for name, target := range map[string]string{
		"up": "../secret", "upfolder": "..", "abs": inner + "/../secret", "etc": "/etc", "proc": "/proc/self", "dots": "d/../../secret",
	} {
		if err := os.Symlink(target, filepath.Join(inner, name)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "mkdir d", f.Mkdir("d", 0o755), 0)
	expect(t, "put", put(t, f, "file", "x"), 0)
	for _, name := range []string{
		"../secret", "up", "up/", "upfolder/secret", "abs", "dots", "etc/passwd", "proc/environ", "/../secret",
		"d/../../secret", "upfolder/root/../secret", "proc/root/etc/passwd", "etc/", "./up",
	} {
		if data, errno := get(f, name); errno == 0 {
			t.Errorf("read %s: %q", name, data)
		}
		if errno := put(t, f, name, "pwned"); errno == 0 {
			t.Errorf("write %s works", name)
		}
		if _, errno := f.Stat(name); errno == 0 {
			t.Errorf("stat %s works", name)
		}
		if errno := f.Chmod(name, 0o777); errno == 0 {
			t.Errorf("chmod %s works", name)
		}
		if errno := f.Utimens(name, 1, 1); errno == 0 {
			t.Errorf("utimens %s works", name)
		}
		if errno := f.Mkdir(name+"/x", 0o777); errno == 0 {
			t.Errorf("mkdir %s/x works", name)
		}
		if errno := f.Rename("file", name+"/x"); errno == 0 {
			t.Errorf("rename to %s/x works", name)
		}
		if errno := f.Link("file", name+"/x"); errno == 0 {
			t.Errorf("link to %s/x works", name)
		}
		if errno := f.Symlink("file", name+"/x"); errno == 0 {
			t.Errorf("symlink %s/x works", name)
		}
	}
	for _, name := range []string{"../secret", "upfolder/secret", "/../secret", "proc/environ"} {
		if errno := f.Unlink(name); errno == 0 {
			t.Errorf("unlink %s works", name)
		}
		if errno := f.Rename(name, "mine"); errno == 0 {
			t.Errorf("rename %s works", name)
		}
		if errno := f.Link(name, "mine"); errno == 0 {
			t.Errorf("link %s works", name)
		}
		if target, errno := f.Readlink(name); errno == 0 {
			t.Errorf("readlink %s: %s", name, target)
		}
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(inner), "secret"))
	if err != nil || string(data) != "secret" {
		t.Errorf("the secret is %q, %v", data, err)
	}
	if denied := strings.Join(f.quota.Denied(), "\n"); !strings.Contains(denied, "leave") {
		t.Errorf("denied: %q", denied)
	}
}

func TestAbsoluteLinksAreTheGuests(t *testing.T) {
	f, inner := newFS(t, Limits{})
	expect(t, "mkdir", f.Mkdir("work", 0o755), 0)
	expect(t, "mkdir", f.Mkdir("work/etc", 0o755), 0)
	expect(t, "put", put(t, f, "work/etc/passwd", "mine"), 0)
	expect(t, "link", f.Symlink("/work/etc", "etc"), 0)
	expect(t, "link", f.Symlink("/etc/passwd", "work/p"), 0)
	for _, name := range []string{"etc/passwd", "work/p", "/work/../etc/passwd"} {
		data, errno := get(f, name)
		if errno != 0 || data != "mine" {
			t.Errorf("%s: %q, %v", name, data, errno)
		}
	}
	target, errno := f.Readlink("work/p")
	if errno != 0 || target != "/etc/passwd" {
		t.Errorf("readlink: %q, %v", target, errno)
	}
	expect(t, "unlink the link", f.Unlink("work/p"), 0)
	if _, err := os.Stat(filepath.Join(inner, "work/etc/passwd")); err != nil {
		t.Error("the link's target is gone")
	}
	expect(t, "circle", f.Symlink("/circle", "circle"), 0)
	if _, errno := get(f, "circle"); errno == 0 {
		t.Error("a circle can be opened")
	}
}

func TestOpen(t *testing.T) {
	f, inner := newFS(t, Limits{})
	expect(t, "put", put(t, f, "file", "data"), 0)
	expect(t, "mkdir", f.Mkdir("d", 0o755), 0)
	expect(t, "symlink", f.Symlink("file", "link"), 0)
	for _, c := range []struct {
		name string
		flag sys.Oflag
		want sys.Errno
	}{
		{"link", sys.O_RDONLY | sys.O_NOFOLLOW, sys.ELOOP},
		{"link", sys.O_RDONLY, 0},
		{"file/", sys.O_RDONLY, sys.ENOTDIR},
		{"link/", sys.O_RDONLY, sys.ENOTDIR},
		{"file", sys.O_DIRECTORY, sys.ENOTDIR},
		{"d", sys.O_DIRECTORY, 0},
		{"d/", sys.O_RDONLY, 0},
		{"d", sys.O_WRONLY, sys.EISDIR},
		{"d", sys.O_RDWR, sys.EISDIR},
		{"file", sys.O_WRONLY | sys.O_CREAT | sys.O_EXCL, sys.EEXIST},
		{"link", sys.O_WRONLY | sys.O_CREAT | sys.O_EXCL, sys.EEXIST},
		{"none", sys.O_RDONLY, sys.ENOENT},
		{"none/", sys.O_WRONLY | sys.O_CREAT, sys.EISDIR},
		{"none/x", sys.O_WRONLY | sys.O_CREAT, sys.ENOENT},
		{"file/x", sys.O_RDONLY, sys.ENOTDIR},
		{"a\x00b", sys.O_RDONLY, sys.EINVAL},
		{strings.Repeat("d/", 600), sys.O_RDONLY, sys.ENAMETOOLONG},
		{strings.Repeat("n", 300), sys.O_RDONLY, sys.ENAMETOOLONG},
	} {
		file, errno := f.OpenFile(c.name, c.flag, 0o644)
		expect(t, fmt.Sprintf("open %.40q %b", c.name, c.flag), errno, c.want)
		if errno == 0 {
			expect(t, "close", file.Close(), 0)
			expect(t, "close again", file.Close(), 0)
		}
	}
	if runtime.GOOS != "windows" {
		testSpecial(t, f, inner)
	}
	if f.quota.open != 0 || len(f.quota.held) != 0 {
		t.Errorf("%d files are open, %d held", f.quota.open, len(f.quota.held))
	}
}

func TestFile(t *testing.T) {
	f, _ := newFS(t, Limits{})
	file, errno := f.OpenFile("f", sys.O_RDWR|sys.O_CREAT, 0o600)
	expect(t, "open", errno, 0)
	_, errno = file.Write([]byte("hello"))
	expect(t, "write", errno, 0)
	at, errno := file.Seek(-3, 1)
	expect(t, "seek", errno, 0)
	if at != 2 {
		t.Errorf("at %d", at)
	}
	buf := make([]byte, 10)
	n, errno := file.Read(buf)
	expect(t, "read", errno, 0)
	if string(buf[:n]) != "llo" {
		t.Errorf("read %q", buf[:n])
	}
	if n, errno = file.Read(buf); n != 0 || errno != 0 {
		t.Errorf("read at the end: %d, %v", n, errno)
	}
	expect(t, "append", file.SetAppend(true), 0)
	_, _ = file.Seek(0, 0)
	_, errno = file.Write([]byte("!"))
	expect(t, "write", errno, 0)
	_, errno = file.Pwrite([]byte("H"), 0)
	expect(t, "pwrite", errno, 0)
	if data, _ := get(f, "f"); data != "Hello!" {
		t.Errorf("file is %q", data)
	}
	for _, s := range []struct {
		off    int64
		whence int
	}{{-1, 0}, {0, 7}, {-100, 1}, {1<<63 - 1, 1}} {
		if _, errno := file.Seek(s.off, s.whence); errno != sys.EINVAL {
			t.Errorf("seek %v: %v", s, errno)
		}
	}
	_, errno = file.Pread(buf, -1)
	expect(t, "pread", errno, sys.EINVAL)
	_, errno = file.Pwrite(buf, 1<<63-1)
	expect(t, "pwrite", errno, sys.EIO)
	expect(t, "truncate", file.Truncate(-1), sys.EINVAL)
	expect(t, "close", file.Close(), 0)
	file, _ = f.OpenFile("f", sys.O_RDONLY, 0)
	_, errno = file.Write([]byte("x"))
	expect(t, "write to one that is read", errno, sys.EBADF)
	expect(t, "truncate one that is read", file.Truncate(0), sys.EBADF)
	expect(t, "close", file.Close(), 0)
}

func TestReadOnly(t *testing.T) {
	f, inner := newFS(t, Limits{})
	expect(t, "put", put(t, f, "file", "data"), 0)
	expect(t, "mkdir", f.Mkdir("d", 0o755), 0)
	ro := New(f.root, f.quota, true)
	if data, errno := get(ro, "file"); data != "data" || errno != 0 {
		t.Errorf("read %q, %v", data, errno)
	}
	for what, errno := range map[string]sys.Errno{
		"write": put(t, ro, "file", "x"), "create": put(t, ro, "new", "x"), "mkdir": ro.Mkdir("x", 0o755),
		"chmod": ro.Chmod("file", 0), "rename": ro.Rename("file", "g"), "rmdir": ro.Rmdir("d"), "unlink": ro.Unlink("file"),
		"link": ro.Link("file", "g"), "symlink": ro.Symlink("file", "g"), "utimens": ro.Utimens("file", 0, 0),
	} {
		expect(t, what, errno, sys.EROFS)
	}
	file, _ := ro.OpenFile("file", sys.O_RDONLY, 0)
	expect(t, "utimens", file.Utimens(0, 0), sys.EROFS)
	_ = file.Close()
	if entries, _ := os.ReadDir(inner); len(entries) != 2 {
		t.Errorf("%d entries", len(entries))
	}
}

func TestQuotas(t *testing.T) {
	f, _ := newFS(t, Limits{Bytes: 1000, Files: 4, FileSize: 600, Open: 2})
	hit := func(want string) {
		t.Helper()
		_, text := f.quota.Hit()
		if text != want {
			t.Errorf("hit %q, want %q", text, want)
		}
		f.quota.Reset(f.quota.limits)
	}
	hit("")
	expect(t, "one file too large", put(t, f, "a", strings.Repeat("x", 601)), sys.EIO)
	hit("file size limit of 600 bytes reached")
	expect(t, "a", put(t, f, "a", strings.Repeat("x", 600)), 0)
	expect(t, "b", put(t, f, "b", strings.Repeat("x", 401)), sys.EIO)
	hit("disk limit of 1000 bytes reached")
	expect(t, "b", put(t, f, "b", strings.Repeat("x", 400)), 0)
	expect(t, "a smaller", put(t, f, "a", "x"), 0)
	expect(t, "mkdir", f.Mkdir("d", 0o755), 0)
	expect(t, "link", f.Link("a", "d/a"), 0)
	expect(t, "a fifth", f.Symlink("a", "e"), sys.EIO)
	hit("limit of 4 files reached")
	expect(t, "unlink", f.Unlink("a"), 0)
	if bytes, files := used(f.quota); bytes != 401 || files != 3 {
		t.Errorf("used %d bytes, %d files", bytes, files)
	}
	expect(t, "rename over", f.Rename("d/a", "b"), 0)
	if bytes, files := used(f.quota); bytes != 1 || files != 2 {
		t.Errorf("used %d bytes, %d files", bytes, files)
	}
	one, _ := f.OpenFile("b", sys.O_RDWR, 0)
	two, _ := f.OpenFile("d", sys.O_DIRECTORY, 0)
	_, errno := f.OpenFile("b", sys.O_RDONLY, 0)
	expect(t, "a third open", errno, sys.EIO)
	hit("limit of 2 open files reached")
	_ = two.Close()

	// A file that is removed while it is open still takes its space.
	expect(t, "truncate", one.Truncate(600), 0)
	expect(t, "unlink", f.Unlink("b"), 0)
	if bytes, _ := used(f.quota); bytes != 600 {
		t.Errorf("used %d bytes", bytes)
	}
	_ = one.Close()
	if bytes, files := used(f.quota); bytes != 0 || files != 1 {
		t.Errorf("used %d bytes, %d files", bytes, files)
	}
	// A hole counts.
	one, _ = f.OpenFile("sparse", sys.O_RDWR|sys.O_CREAT, 0o600)
	_, errno = one.Pwrite([]byte("x"), 1<<40)
	expect(t, "sparse", errno, sys.EIO)
	_ = one.Close()
	_ = put(t, f, "d/x", "12345")
	expect(t, "a second name", f.Link("d/x", "d/y"), 0)
	if h, err := Counted(t.Context(), f.root, Limits{}); err != nil || h != f.quota.Holds() || h.Bytes != 5 || h.Files != 4 {
		t.Errorf("counted %+v, %v; the quota has %+v", h, err, f.quota.Holds())
	}
	if h, err := Counted(t.Context(), f.root, Limits{Files: 1}); err != nil || h.Files != 3 {
		t.Errorf("of more than the limit: counted %+v, %v", h, err)
	}
}

func used(q *Quota) (bytes, files int64) {
	h := q.Holds()
	return h.Bytes, h.Files
}

// TestSub makes names in a folder that are also those of folders at the top.
func TestSub(t *testing.T) {
	f, _ := newFS(t, Limits{})
	for _, name := range []string{"tmp", "temp", "home", "work", "work/hello"} {
		expect(t, "mkdir", f.Mkdir(name, 0o755), 0)
	}
	s := f.Sub("/work/hello")
	expect(t, "a file at the top", put(t, f, "tmp/file", "top"), 0)
	file, errno := s.OpenFile("tmp/file", sys.O_RDONLY, 0)
	expect(t, "open a path of the top", errno, 0)
	expect(t, "close", file.Close(), 0)
	expect(t, "mkdir tmp", s.Mkdir("tmp", 0o755), 0)
	expect(t, "mkdir tmp again", s.Mkdir("tmp/", 0o755), sys.EEXIST)
	expect(t, "mkdir tmp/in", s.Mkdir("tmp/in", 0o755), 0)
	expect(t, "symlink home", s.Symlink("tmp", "home"), 0)
	file, errno = s.OpenFile("temp", sys.O_WRONLY|sys.O_CREAT, 0o644)
	expect(t, "make the file temp", errno, 0)
	expect(t, "close", file.Close(), 0)
	expect(t, "rename to work", s.Rename("temp", "work"), 0)
	for name, folder := range map[string]bool{"tmp": true, "tmp/in": true, "home": false, "work": false} {
		if st, errno := f.Lstat("work/hello/" + name); errno != 0 || st.Mode.IsDir() != folder {
			t.Errorf("%s in the folder: %v, %v", name, st.Mode, errno)
		}
	}
	if _, errno := f.Lstat("tmp/in"); errno != sys.ENOENT {
		t.Errorf("tmp/in at the top: %v", errno)
	}
}

// TestRace swaps folders for symbolic links that lead out, while paths through
// them are used.
func TestRace(t *testing.T) {
	for _, kind := range []string{"link", "rename"} {
		t.Run(kind, func(t *testing.T) { race(t, kind) })
	}
}

func race(t *testing.T, kind string) {
	f, inner := newFS(t, Limits{})
	expect(t, "mkdir", f.Mkdir("d", 0o755), 0)
	expect(t, "put", put(t, f, "d/secret", "mine"), 0)
	expect(t, "link", f.Symlink("..", "out"), 0)
	expect(t, "mkdir", f.Mkdir("deep", 0o755), 0)
	stop := time.Now().Add(2 * time.Second)
	var wg sync.WaitGroup
	swaps := 0
	wg.Go(func() {
		for time.Now().Before(stop) {
			swaps++
			if kind == "link" {
				_ = os.Rename(inner+"/d", inner+"/d2")
				_ = os.Rename(inner+"/out", inner+"/d")
				_ = os.Rename(inner+"/d", inner+"/out")
				_ = os.Rename(inner+"/d2", inner+"/d")
			} else {
				_ = f.Rename("d", "deep/d")
				_ = f.Rename("deep/d", "d")
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for n := 0; time.Now().Before(stop); n++ {
				for _, name := range []string{"d/secret", "deep/d/../../d/secret", "deep/d/../../../secret"} {
					if data, errno := get(f, name); errno == 0 && data != "mine" && data != "pwned" && data != "" {
						t.Errorf("%s is %q", name, data)
						return
					}
				}
				_ = put(t, f, "d/secret", "pwned")
				_ = f.Unlink("d/none")
				_ = f.Rename("d/secret", "d/secret")
			}
		})
	}
	wg.Wait()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(inner), "secret"))
	if err != nil || string(data) != "secret" {
		t.Fatalf("the secret is %q, %v, after %d swaps", data, err, swaps)
	}
	t.Logf("%d swaps", swaps)
}

func TestReaddir(t *testing.T) {
	f, _ := newFS(t, Limits{})
	for i := range 100 {
		expect(t, "put", put(t, f, fmt.Sprint("f", i), ""), 0)
	}
	d, errno := f.OpenFile(".", sys.O_DIRECTORY, 0)
	expect(t, "open", errno, 0)
	defer d.Close()
	for range 2 {
		seen := map[string]bool{}
		for {
			entries, errno := d.Readdir(7)
			expect(t, "readdir", errno, 0)
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				seen[e.Name] = true
			}
		}
		if len(seen) != 100 {
			t.Errorf("%d entries", len(seen))
		}
		_, errno = d.Seek(0, 0)
		expect(t, "rewind", errno, 0)
	}
}
