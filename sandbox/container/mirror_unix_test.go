//go:build unix

package container

import (
	"path/filepath"
	"strings"
	"testing"

	"otelrunner/sandbox/deeptree"
	"otelrunner/sandbox/sandboxtest"
)

// TestMirrorDeep looks for changes in folders that a module has moved into one
// another: no program of the container could reach them.
func TestMirrorDeep(t *testing.T) {
	host := filepath.Join(t.TempDir(), "copy")
	left := int64(1 << 20)
	m, err := newMirror(host, archiveOf(t, folder("ws/")), &left)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.close() })
	sandboxtest.Dig(t, host, 3000)
	if _, _, err := m.changes(); err == nil || !strings.Contains(err.Error(), "in so many folders") {
		t.Errorf("error %v", err)
	}
	if err := deeptree.RemoveFolder(t.Context(), host); err != nil {
		t.Error(err)
	}
}
