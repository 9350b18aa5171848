package sandboxtest

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"otelrunner/sandbox"
)

// testImport is for sandboxes that take trees into their workspaces.
func testImport(t *testing.T, h Harness) {
	b := h.open(t)
	importer, ok := b.Sandbox.(sandbox.Importer)
	if !ok {
		return
	}
	b.write("kept", "old")
	b.write("dir/kept", "old")
	b.write("dir/file", "old")
	tree := fstest.MapFS{
		"dir/file": {Data: []byte("new"), Mode: 0o644},
		"run.sh":   {Data: []byte("#!/bin/sh\necho imported\n"), Mode: 0o755},
		"link":     {Data: []byte("dir/file"), Mode: fs.ModeSymlink | 0o777},
		"empty":    {Mode: fs.ModeDir | 0o755},
	}
	for _, dir := range []string{".", "sub/folder"} {
		if err := importer.Import(t.Context(), dir, tree); err != nil {
			t.Fatal(err)
		}
		want(t, "what "+dir+" got", b.sh("cd "+dir+" && cat dir/file link && test -d empty && ./run.sh"), "newnewimported")
	}
	want(t, "what was there", b.sh("cat kept dir/kept"), "oldold")
	if err := importer.Import(t.Context(), ".", tree); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := importer.Import(t.Context(), ".", fstest.MapFS{"up": {Data: []byte("../x"), Mode: fs.ModeSymlink | 0o777}}); err == nil {
		t.Error("a link that leaves the tree is accepted")
	}
}
