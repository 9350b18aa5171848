package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
)

// sending is filling for sandboxes whose workspace is no folder of this machine:
// the copy is made here first and sent.
type sending struct {
	sandbox.Provider
	copy filling
}

// Open opens and copies.
func (f sending) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	s, err := f.Provider.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := f.send(ctx, s, spec.Log); err != nil {
		_ = s.Close(context.WithoutCancel(ctx)) // the first error is the one to tell
		return nil, err
	}
	return s, nil
}

func (f sending) send(ctx context.Context, s sandbox.Sandbox, log func(string)) (err error) {
	work, err := os.MkdirTemp("", "otelrunner-exec-")
	if err != nil {
		return fmt.Errorf("copy %s for the workspace: %w", f.copy.repo.root, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	here := filepath.Join(work, "job", "workspace")
	if err := os.MkdirAll(here, 0o700); err != nil {
		return fmt.Errorf("copy %s for the workspace: %w", f.copy.repo.root, err)
	}
	if err := f.copy.fill(ctx, here, log); err != nil {
		return err
	}
	if err := dropLinks(here, log); err != nil {
		return fmt.Errorf("copy %s for the workspace: %w", f.copy.repo.root, err)
	}
	if err := into(ctx, s, os.DirFS(here)); err != nil {
		return fmt.Errorf("send the copy of %s to the workspace: %w; --checkout begins with an empty one", f.copy.repo.root, err)
	}
	return nil
}

// dropLinks removes the symbolic links that lead out of a folder: they would lead
// to something else where it is sent to.
func dropLinks(dir string, log func(string)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		target, err := root.Readlink(path)
		if err != nil || !filepath.IsAbs(target) && filepath.IsLocal(filepath.Join(filepath.Dir(path), target)) {
			return err
		}
		log("The symbolic link " + path + " leads out of the folder and is left out")
		return root.Remove(path)
	})
}

// into puts a tree into a sandbox's workspace.
func into(ctx context.Context, s sandbox.Sandbox, tree fs.FS) error {
	if s, ok := s.(interface {
		sandbox.Sandbox
		wasm.Importer
	}); ok {
		return s.Import(ctx, s.Info().Workspace, tree)
	}
	staged, err := s.Stage(ctx, "_repository", tree)
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"cp", "-a", staged + "/.", s.Info().Workspace},
		{"rm", "-rf", staged},
	} {
		var said bytes.Buffer
		res, err := s.Run(ctx, &sandbox.Command{Args: args, Stdout: &said, Stderr: &said})
		var missing *sandbox.NotFoundError
		switch {
		case errors.As(err, &missing):
			return fmt.Errorf("the image has no program %s, which is needed for it", args[0])
		case err != nil:
			return err
		case res.ExitCode != 0:
			return fmt.Errorf("%s: %s", strings.Join(args[:1], " "), strings.TrimSpace(said.String()))
		}
	}
	return nil
}
