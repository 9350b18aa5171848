package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"otelrunner/sandbox/deeptree"
)

// removeFolder removes the job's folder.
func (j *job) removeFolder(ctx context.Context) error {
	return j.provider.removeFolder(ctx, j.folder)
}

// removeFolder removes a job's folder. What a step has mounted in it is
// unmounted first, and left alone with all that it holds when that is refused.
func (p *Provider) removeFolder(ctx context.Context, folder string) error {
	mounts := unmountBelow(folder)
	if len(mounts) > 0 {
		return fmt.Errorf("remove %s: %s is a mount that this user may not undo: unmount it; the next start of the runner removes the rest", folder, mounts[0])
	}
	err := removeTree(ctx, folder)
	if errors.Is(err, fs.ErrPermission) && p.empty != nil && ctx.Err() == nil {
		if eerr := p.empty(ctx, folder); eerr != nil {
			return errors.Join(err, eerr)
		}
		err = removeTree(ctx, folder)
	}
	return err
}

// removeTree removes a tree, never following a symbolic link. Folders that a
// step has made read-only are made writable for it.
func removeTree(ctx context.Context, root string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("remove %s: %w", root, context.Cause(ctx))
	}
	err := removeEntries(ctx, root, portions)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("remove %s: the time for it was over before all of it was gone: the next start of the runner removes the rest", root)
	}
	if !errors.Is(err, fs.ErrPermission) {
		return removeError(root, err)
	}
	unlock(ctx, root)
	if err := removeEntries(ctx, root, portions); err != nil {
		return removeError(root, err)
	}
	return nil
}

// portions is how many levels of folders are removed one entry at a time; the
// job's folder has its repository's entries at the second.
const portions = 3

// removeEntries is os.RemoveAll in portions, so that it can be ended, and for trees
// that are deeper than RemoveAll's open files reach, of which it takes one a level.
func removeEntries(ctx context.Context, path string, levels int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if levels > 0 {
		// Where this fails, RemoveAll below says why. A symbolic link to a
		// folder must not be read through.
		if info, err := os.Lstat(path); err == nil && info.IsDir() {
			entries, _ := os.ReadDir(path)
			for _, entry := range entries {
				if err := removeEntries(ctx, filepath.Join(path, entry.Name()), levels-1); err != nil {
					return err
				}
			}
		}
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() && runtime.GOOS != "windows" {
		return deeptree.RemoveFolder(ctx, path)
	}
	return os.RemoveAll(path)
}

// maxPath is PATH_MAX of Linux: no call takes a longer path.
const maxPath = 4096

// unlock makes every folder of a tree one that its owner can empty, as far as it
// can: what resists is named by the removal.
func unlock(ctx context.Context, root string) {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.IsDir() {
			makeWritable(path, d)
			return nil
		}
		if len(path) > maxPath {
			return fs.SkipDir
		}
		// WalkDir reads the folder after this call.
		_ = os.Chmod(path, 0o700)
		return nil
	})
}

// removeError names what is left, and what to do about it.
func removeError(root string, err error) error {
	path, reason := root, err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		reason = pe.Err
		path = pe.Path
		if !filepath.IsAbs(path) { // RemoveAll names some by their last part
			path = filepath.Join(root, "…", path)
		}
	}
	advice := "remove it by hand"
	if errors.Is(err, fs.ErrPermission) {
		advice = "it belongs to another user or is protected: remove it as root"
	}
	return fmt.Errorf("remove %s: %s is left: %w: %s", root, path, reason, advice)
}
