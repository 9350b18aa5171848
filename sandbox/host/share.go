package host

import (
	"context"
	"fmt"
	"runtime"

	"otelrunner/sandbox"
)

var _ sandbox.Sharer = (*job)(nil)

// Share implements sandbox.Sharer: the folders are this machine's own.
func (j *job) Share(context.Context) ([]sandbox.Mount, func(context.Context) error, error) {
	if runtime.GOOS == "windows" {
		return nil, nil, fmt.Errorf("folders of a host job on Windows (%s) have no path in a WASM sandbox: run the job on a label of the kind name:wasm: %w", j.workspace, sandbox.ErrUnsupported)
	}
	folders := []sandbox.Mount{{Host: j.workspace, Guest: j.workspace}, {Host: j.temp, Guest: j.temp}}
	return folders, func(context.Context) error { return nil }, nil
}
