package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/sandbox"
)

func testFiles(t *testing.T, h Harness) {
	t.Run("write and read", func(t *testing.T) {
		b := h.open(t)
		data := []byte("a\x00b\r\n\xff")
		files := []sandbox.File{
			{Path: "deep/er/file", Data: data},
			{Path: b.Info().Temp + "/x/file", Data: []byte("temp")},
			{Path: "empty"},
		}
		if err := b.WriteFiles(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		got, err := b.ReadFile(t.Context(), "deep/er/file", int64(len(data)))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %q, %v", got, err)
		}
		want(t, "file in temp", b.sh("cat '"+b.Info().Temp+"/x/file'"), "temp")
		got, err = b.ReadFile(t.Context(), b.Info().Workspace+"/empty", 0)
		if err != nil || len(got) != 0 {
			t.Errorf("read %q, %v", got, err)
		}
		b.write("deep/er/file", "n") // shorter: the rest must go
		want(t, "overwritten", b.read("deep/er/file"), "n")
	})
	t.Run("modes", func(t *testing.T) {
		if h.NoModes {
			return // it has none
		}
		b := h.open(t)
		files := []sandbox.File{{Path: "plain"}, {Path: "program", Mode: 0o755}, {Path: "secret", Mode: 0o600}}
		if err := b.WriteFiles(t.Context(), files); err != nil {
			t.Fatal(err)
		}
		want(t, "modes", b.sh("ls -l | sed -n 's/^\\(..........\\).* /\\1 /p'"), "-rw-r--r-- plain\n-rwxr-xr-x program\n-rw------- secret")
	})
	t.Run("read limits", func(t *testing.T) {
		b := h.open(t)
		b.write("five", "12345")
		_, err := b.ReadFile(t.Context(), "five", 4)
		_ = wantAs[*sandbox.LimitError](t, err)
		_, err = b.ReadFile(t.Context(), "nothing/here", 4)
		want(t, "is ErrNotExist", errors.Is(err, fs.ErrNotExist), true)
	})
	t.Run("before and after a command", func(t *testing.T) {
		b := h.open(t)
		c := b.script(`cat in; echo "more" >> out; echo new > made`)
		c.Files = []sandbox.File{{Path: "in", Data: []byte("input")}, {Path: "out", Data: []byte("old\n")}}
		c.Collect = []string{"out", "made", "never"}
		c.Remove = []string{"in", "out", "never"}
		out, res := b.run(c)
		want(t, "output", out, "input")
		want(t, "out", string(res.Collected["out"]), "old\nmore\n")
		want(t, "made", string(res.Collected["made"]), "new\n")
		_, there := res.Collected["never"]
		want(t, "never is collected", there, false)
		want(t, "left files", b.sh("ls"), "made")
	})
	t.Run("of one command after another", func(t *testing.T) {
		testOwnFiles(t, h)
	})
	t.Run("after a command that fails", func(t *testing.T) {
		b := h.open(t)
		c := b.script("echo data > out; exit 4")
		c.Collect, c.Remove = []string{"out"}, []string{"out"}
		_, res := b.run(c)
		want(t, "exit code", res.ExitCode, 4)
		want(t, "out", string(res.Collected["out"]), "data\n")
		want(t, "left files", b.sh("ls"), "")
	})
	t.Run("collect limit", func(t *testing.T) {
		b := h.open(t)
		c := b.script("echo 123456789 > big; echo ok > small")
		c.Collect, c.CollectLimit = []string{"big", "small"}, 9
		c.Remove = []string{"big"}
		res, err := b.Run(t.Context(), c)
		if e := wantAs[*sandbox.LimitError](t, err); !strings.Contains(e.Text, "big") {
			t.Errorf("%q does not name the file", e.Text)
		}
		want(t, "exit code", res.ExitCode, 0)
		want(t, "small", string(res.Collected["small"]), "ok\n")
		want(t, "left files", b.sh("ls"), "small")
	})
	t.Run("what a step puts in a file's place", func(t *testing.T) {
		if h.NoProcesses {
			return // it has none
		}
		b := h.open(t)
		c := b.script("mkdir folder folder/sub; mkfifo pipe; ln -s /dev/zero device")
		c.Collect = []string{"folder", "pipe", "device"}
		c.Remove = []string{"folder", "pipe", "device"}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := b.Run(ctx, c); err == nil || ctx.Err() != nil {
			t.Errorf("Run collected a pipe, a folder and a device: %v", err)
		}
		want(t, "left files", b.sh("ls"), "")
	})
	t.Run("held by a process of an earlier command", func(t *testing.T) {
		if h.NoProcesses {
			return // it has none
		}
		testHeldFile(t, h)
	})
	t.Run("while a command runs", func(t *testing.T) {
		b := h.open(t)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				name := strings.Repeat("f", i+1)
				if err := b.WriteFiles(t.Context(), []sandbox.File{{Path: name, Data: []byte(name)}}); err != nil {
					t.Error(err)
				}
				if got := b.read(name); got != name {
					t.Errorf("read %q, want %q", got, name)
				}
				if _, err := b.LookPath(t.Context(), h.Shell[0], nil); err != nil {
					t.Error(err)
				}
			})
		}
		b.sh("sleep 0.1")
		wg.Wait()
	})
}

// testOwnFiles runs commands with files like those of steps, each of which finds
// what it was given and leaves nothing to the next.
func testOwnFiles(t *testing.T, h Harness) {
	b := h.open(t)
	temp := b.Info().Temp
	for i, text := range []string{"a text that is longer than all others", "", "short", "", "not so short"} {
		in, out := fmt.Sprintf("%s/files/in_%d", temp, i), fmt.Sprintf("%s/files/out_%d", temp, i)
		c := b.script(fmt.Sprintf("cat '%s'; cat '%s'; echo '%s and more' >> '%[2]s'", in, out, text))
		c.Files = []sandbox.File{{Path: in, Data: []byte(text), Mode: 0o755}, {Path: out, Mode: 0o666}}
		c.Collect, c.Remove = []string{out}, []string{in, out}
		shown, res := b.run(c)
		want(t, "what it was given", shown, text)
		want(t, "what it wrote", string(res.Collected[out]), text+" and more\n")
		want(t, "left files", b.sh("ls '"+temp+"/files'"), "")
	}
}

// testHeldFile leaves a process that goes on writing into a command's file, and
// sees that the next commands' are none of its.
func testHeldFile(t *testing.T, h Harness) {
	b := h.open(t)
	file := func(i int) string { return fmt.Sprintf("%s/files/out_%d", b.Info().Temp, i) }
	run := func(i int, script string) string {
		c := b.script(strings.ReplaceAll(script, "FILE", "'"+file(i)+"'"))
		c.Files = []sandbox.File{{Path: file(i)}}
		c.Collect, c.Remove = []string{file(i)}, []string{file(i)}
		_, res := b.run(c)
		return string(res.Collected[file(i)])
	}
	run(0, "{ while ! test -e go; do sleep 0.01; done; echo mine >&3; echo done > written; } 3>>FILE &")
	run(1, ":")
	want(t, "collected", run(2, "echo here > go; while ! test -s written; do sleep 0.01; done; echo own >> FILE"), "own\n")
	want(t, "collected later", run(3, "echo own >> FILE"), "own\n")
}

func testErrors(t *testing.T, h Harness) {
	t.Run("unknown program", func(t *testing.T) {
		b := h.open(t)
		for _, name := range []string{"no-such-program-here", "./no-such-program-here", "/no/such/program"} {
			c := &sandbox.Command{Args: []string{name}, Files: []sandbox.File{{Path: "f", Data: []byte("f")}}, Collect: []string{"f"}, Remove: []string{"f"}}
			res, err := b.Run(t.Context(), c)
			want(t, "Name", wantAs[*sandbox.NotFoundError](t, err).Name, name)
			want(t, "exit code", res.ExitCode, -1)
			want(t, "collected", string(res.Collected["f"]), "f")
			_, err = b.LookPath(t.Context(), name, nil)
			_ = wantAs[*sandbox.NotFoundError](t, err)
		}
		want(t, "left files", b.sh("ls"), "")
	})
	t.Run("not a program", func(t *testing.T) {
		b := h.open(t)
		b.write("plain", "text")
		_, err := b.Run(t.Context(), &sandbox.Command{Args: []string{"./plain"}})
		_ = wantAs[*sandbox.NotFoundError](t, err)
		_, err = b.Run(t.Context(), &sandbox.Command{Args: []string{b.Info().Workspace}})
		_ = wantAs[*sandbox.NotFoundError](t, err)
	})
	t.Run("missing folder", func(t *testing.T) {
		b := h.open(t)
		b.write("file", "x")
		for _, dir := range []string{"nowhere", "/no/where", "file"} {
			c := b.script("echo ran")
			c.Dir = dir
			res, err := b.Run(t.Context(), c)
			if e := wantAs[*sandbox.DirError](t, err); !strings.HasSuffix(e.Dir, dir) {
				t.Errorf("Dir is %q, want …%s", e.Dir, dir)
			}
			want(t, "exit code", res.ExitCode, -1)
		}
	})
	t.Run("usable after an error", func(t *testing.T) {
		b := h.open(t)
		_, _ = b.Run(t.Context(), &sandbox.Command{Args: []string{"no-such-program-here"}})
		want(t, "output", b.sh("echo fine"), "fine")
	})
}
