package container

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// archiveOf makes an engine's archive of the folder ws.
func archiveOf(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		data := h.PAXRecords["TEST.data"]
		h.PAXRecords = nil
		h.Size = int64(len(data))
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func regular(name, data string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Uid: 7, Gid: 8, PAXRecords: map[string]string{"TEST.data": data}}
}

func folder(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o555, Uid: 5, Gid: 6}
}

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}
}

func TestMirror(t *testing.T) {
	host := filepath.Join(t.TempDir(), "copy")
	left := int64(1 << 20)
	m, err := newMirror(host, archiveOf(t, folder("ws/"), regular("ws/same", "1"), regular("ws/edit", "2"), regular("ws/gone", "3"),
		folder("ws/dir/"), regular("ws/dir/a", "4"), regular("ws/dir/b", "5"), folder("ws/out/"), regular("ws/out/x", "6"),
		link("ws/link", "same"), link("ws/other", "same"), link("ws/away", "/etc/passwd"),
		tar.Header{Typeflag: tar.TypeLink, Name: "ws/hard", Linkname: "ws/same"}, tar.Header{Typeflag: tar.TypeFifo, Name: "ws/fifo"},
	), &left)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.close() }()
	if changed, removed, err := m.changes(); len(changed)+len(removed) > 0 || err != nil {
		t.Errorf("at the start, %q changed, %q removed, %v", changed, removed, err)
	}
	at := func(name string) string { return filepath.Join(host, name) }
	info, err := os.Stat(at("edit"))
	for _, err := range []error{
		err,
		os.WriteFile(at("edit"), []byte("9"), 0o600), os.Chtimes(at("edit"), info.ModTime(), info.ModTime()), // looks as before
		os.Remove(at("gone")), os.Remove(at("dir/a")), os.RemoveAll(at("out")),
		os.Mkdir(at("new"), 0o700), os.WriteFile(at("new/f"), []byte("new"), 0o755),
		os.Remove(at("other")), os.Symlink("edit", at("other")), os.Symlink("/etc/shadow", at("evil")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	changed, removed, err := m.changes()
	if want := []string{"edit", "evil", "new", "new/f", "other"}; err != nil || !slices.Equal(changed, want) {
		t.Errorf("changed %q, %v, want %q", changed, err, want)
	}
	if want := []string{"dir/a", "gone", "out"}; !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
	var b bytes.Buffer
	if err := m.pack(&b, changed, "/"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(r)
		got = append(got, strings.Join([]string{string(h.Typeflag), h.Name, h.Linkname, string(data), owner{h.Uid, h.Gid}.String()}, " "))
	}
	want := []string{"0 edit  9 7:8", "2 evil /etc/shadow  5:6", "5 new/   5:6", "0 new/f  new 5:6", "2 other edit  0:0"}
	if !slices.Equal(got, want) {
		t.Errorf("the archive has\n%q, want\n%q", got, want)
	}
}

// TestMirrorHostile unpacks what a job could have made to get out of the copy.
func TestMirrorHostile(t *testing.T) {
	outside := t.TempDir()
	for _, c := range []struct {
		name    string
		archive []tar.Header
	}{
		{"dots", []tar.Header{folder("ws/"), regular("ws/../../evil", "x")}},
		{"absolute", []tar.Header{folder("ws/"), regular("/etc/evil", "x")}},
		{"through a link", []tar.Header{folder("ws/"), link("ws/l", outside), regular("ws/l/evil", "x")}},
		{"through a folder that is a link", []tar.Header{folder("ws/"), link("ws/l", outside), folder("ws/l/"), regular("ws/l/evil", "x")}},
		{"a hard link out", []tar.Header{folder("ws/"), {Typeflag: tar.TypeLink, Name: "ws/h", Linkname: "ws/../../../etc/passwd"}}},
		{"a hard link by a link", []tar.Header{folder("ws/"), link("ws/l", "/etc"), {Typeflag: tar.TypeLink, Name: "ws/h", Linkname: "ws/l/passwd"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			parent := t.TempDir()
			left := int64(1 << 20)
			m, err := newMirror(filepath.Join(parent, "copy"), archiveOf(t, c.archive...), &left)
			if err == nil {
				if _, _, err := m.changes(); err != nil {
					t.Error(err)
				}
				_ = m.close()
			}
			for _, dir := range []string{outside, parent} {
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "copy" {
					t.Errorf("%s has %v, %v", dir, entries, err)
				}
			}
			if _, err := os.Stat("/etc/evil"); err == nil {
				t.Error("/etc/evil was written")
			}
			if info, err := os.Lstat(filepath.Join(parent, "copy", "h")); err == nil {
				t.Errorf("a hard link to %v", info)
			}
		})
	}
	left := int64(3000)
	if _, err := newMirror(filepath.Join(t.TempDir(), "copy"), archiveOf(t, folder("ws/"), regular("ws/big", strings.Repeat("x", 4000))), &left); err == nil || !strings.Contains(err.Error(), "too much to be copied") {
		t.Errorf("what is too large: %v", err)
	}
}
