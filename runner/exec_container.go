package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"otelrunner/sandbox"
)

// sending is filling for sandboxes whose workspace is no folder of this machine:
// the copy is made here first and sent.
type sending struct {
	sandbox.Provider
	copy filling
}

// Open opens and copies.
func (f sending) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	return openFilled(ctx, f.Provider, spec, f.put)
}

// put makes the copy here and sends it into a folder of the sandbox.
func (f sending) put(ctx context.Context, s sandbox.Sandbox, dir string, log func(string)) (err error) {
	work, err := os.MkdirTemp("", "otelrunner-exec-")
	if err != nil {
		return fmt.Errorf("copy %s for the workspace: %w", f.copy.repo.root, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	here := filepath.Join(work, "job", "workspace")
	if err := os.MkdirAll(here, 0o700); err != nil {
		return fmt.Errorf("copy %s for the workspace: %w", f.copy.repo.root, err)
	}
	if err := f.copy.fill(ctx, here, here, log); err != nil {
		return err
	}
	if err := dropLinks(here, log); err != nil {
		return fmt.Errorf("copy %s for the workspace: %w", f.copy.repo.root, err)
	}
	importer, ok := s.(sandbox.Importer)
	if !ok {
		return fmt.Errorf("send the copy of %s to the workspace: %w: --checkout begins with an empty one", f.copy.repo.root, sandbox.ErrUnsupported)
	}
	if err := importer.Import(ctx, dir, os.DirFS(here)); err != nil {
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
