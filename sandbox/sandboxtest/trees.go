package sandboxtest

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

func testStage(t *testing.T, h Harness) {
	tree := fstest.MapFS{
		"action.yml":    {Data: []byte("name: x\n"), Mode: 0o644},
		"dist/index.js": {Data: []byte("js"), Mode: 0o400},
		"run.sh":        {Data: []byte("#!/bin/sh\necho staged\n"), Mode: 0o755},
		"link":          {Data: []byte("dist/index.js"), Mode: fs.ModeSymlink | 0o777},
		"dist/up":       {Data: []byte("../action.yml"), Mode: fs.ModeSymlink | 0o777},
		"empty":         {Mode: fs.ModeDir | 0o755},
	}
	t.Run("copies a tree", func(t *testing.T) {
		b := h.open(t)
		path, err := b.Stage(t.Context(), "actions/octo/tool", tree)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "path", path, b.Info().Temp+"/actions/octo/tool")
		want(t, "files", b.sh("cd '"+path+"' && find . | sort | tr '\\n' ' '"),
			"./ . ./action.yml ./dist ./dist/index.js ./dist/up ./empty ./link ./run.sh "[3:])
		want(t, "the script", b.sh("'"+path+"/run.sh'"), "staged")
		want(t, "a link", b.sh("readlink '"+path+"/link'; cat '"+path+"/link'"), "dist/index.js\njs")
		want(t, "a link upwards", b.sh("cat '"+path+"/dist/up'"), "name: x")
		b.sh("echo changed > '" + path + "/action.yml'; test ! -x '" + path + "/action.yml'")
		again, err := b.Stage(t.Context(), "actions/octo/tool", fstest.MapFS{})
		if err != nil {
			t.Fatal(err)
		}
		want(t, "path again", again, path)
		want(t, "as it is", b.sh("cat '"+path+"/action.yml'"), "changed")
	})
	t.Run("refuses links that leave it", func(t *testing.T) {
		b := h.open(t)
		for name, link := range map[string]string{"abs": "/etc/passwd", "up": "../x", "deep": "a/../../x", "dots": ".."} {
			_, err := b.Stage(t.Context(), name, fstest.MapFS{
				"a/f":  {Data: []byte("x")},
				"link": {Data: []byte(link), Mode: fs.ModeSymlink | 0o777},
			})
			if err == nil || !strings.Contains(err.Error(), "link") {
				t.Errorf("a link to %s: error %v", link, err)
			}
		}
		_, err := b.Stage(t.Context(), "chain", fstest.MapFS{
			"here": {Data: []byte("."), Mode: fs.ModeSymlink | 0o777},
			"link": {Data: []byte("here/../x"), Mode: fs.ModeSymlink | 0o777},
		})
		if err == nil {
			t.Error("a link that leaves by way of another is accepted")
		}
	})
	t.Run("refuses names that leave temp", func(t *testing.T) {
		b := h.open(t)
		for _, name := range []string{"", ".", "..", "../x", "/abs", "a/../b"} {
			if path, err := b.Stage(t.Context(), name, tree); err == nil {
				t.Errorf("%q is staged at %s", name, path)
			}
		}
	})
	t.Run("from several goroutines", func(t *testing.T) {
		b := h.open(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				path, err := b.Stage(t.Context(), "same", tree)
				if err != nil {
					t.Error(err)
				} else if b.read(path+"/action.yml") == "" {
					t.Error("Stage has returned before the tree was there")
				}
			})
		}
		wg.Wait()
	})
}

func testHashFiles(t *testing.T, h Harness) {
	b := h.open(t)
	b.write("a/go.sum", "one")
	b.write("b/go.sum", "two")
	b.write("b/.hidden", "three")
	sum := func(data ...string) string {
		all := sha256.New()
		for _, d := range data {
			one := sha256.Sum256([]byte(d))
			all.Write(one[:])
		}
		return hex.EncodeToString(all.Sum(nil))
	}
	for _, c := range []struct {
		patterns []string
		want     string
	}{
		{[]string{"**/go.sum"}, sum("one", "two")},
		{[]string{"b"}, sum("three", "two")},
		{[]string{"**", "!a/**", "!**/.hidden"}, sum("two")},
		{[]string{b.Info().Workspace + "/a/*"}, sum("one")},
		{[]string{"nothing"}, ""},
	} {
		got, err := b.HashFiles(t.Context(), b.Info().Workspace, c.patterns, false)
		if err != nil {
			t.Errorf("%q: %v", c.patterns, err)
		}
		want(t, strings.Join(c.patterns, ","), got, c.want)
	}
	if _, err := b.HashFiles(t.Context(), b.Info().Workspace, []string{"../x"}, false); err == nil {
		t.Error("a pattern with .. is accepted")
	}
}
