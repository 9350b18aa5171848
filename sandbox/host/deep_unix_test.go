//go:build unix

package host_test

import (
	"errors"
	"os"
	"testing"

	"otelrunner/sandbox"
	"otelrunner/sandbox/host"
	"otelrunner/sandbox/sandboxtest"
)

// TestDeepFolders removes folders in one another that are more than a process may
// have open, and deeper than paths reach.
func TestDeepFolders(t *testing.T) {
	s := open(t, provider(t, host.Options{}), sandbox.Spec{})
	workspace := s.Info().Workspace
	sandboxtest.Dig(t, workspace, 5000)
	sandboxtest.FewFiles(t)
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(workspace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the workspace is there: %v", err)
	}
}
