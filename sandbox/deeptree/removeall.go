package deeptree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
)

// maxNested is how many folders deep a removal goes, with one of them open at
// each level, twice where it is wide, before it moves what is deeper to the top.
const maxNested = 32

// RemoveAll removes everything in a root and says what that was. Folders deeper
// than it goes are moved to the top of the root first, and permissions that are in
// the way are changed. When it ends early, by an error or with its context, what is
// left may lie elsewhere in the root than before; it can be called again.
func RemoveAll(ctx context.Context, root *os.Root) (Size, error) {
	r := &removal{ctx: ctx, top: root}
	for {
		r.lifted = false
		if err := r.empty(root, "", 0); err != nil {
			return r.size, err
		}
		if !r.lifted {
			return r.size, nil
		}
	}
}

// removal is one call of RemoveAll.
type removal struct {
	ctx    context.Context //nolint:containedctx // of one call of RemoveAll
	top    *os.Root
	size   Size
	next   int  // the number of the next folder that is lifted
	lifted bool // there is something new at the top
}

// removePortion is how many names of a folder are kept at a time.
const removePortion = 256

// empty removes what is in the folder at a path of the top.
func (r *removal) empty(dir *os.Root, at string, depth int) error {
	for {
		before := r.done()
		all, err := r.pass(dir, at, depth)
		if all || err != nil || r.done() == before { // what cannot be seen to go keeps its folder
			return err
		}
	}
}

// done grows with all that is removed or lifted.
func (r *removal) done() int64 { return r.size.Files + int64(r.next) }

// pass removes what it reads in a folder, and reports whether that was surely all:
// reading a folder from which entries go may miss some.
func (r *removal) pass(dir *os.Root, at string, depth int) (all bool, err error) {
	f, err := dir.Open(".")
	if err != nil {
		return false, failed("look into", at, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	for first := true; ; first = false {
		names, err := f.Readdirnames(removePortion)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, failed("look into", at, err)
		}
		for _, name := range names {
			if r.ctx.Err() != nil {
				return false, context.Cause(r.ctx)
			}
			if err := r.remove(dir, name, path.Join(at, name), depth); err != nil {
				return false, err
			}
		}
		if len(names) < removePortion { // that was the end
			return first, nil
		}
	}
}

// failed says what could not be done; nothing where it is gone already.
func failed(what, at string, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	const most = 200 // of a guest's path
	if len(at) > most {
		at = "…" + at[len(at)-most:]
	}
	return fmt.Errorf("%s %s to remove it: %w", what, path.Join("/", at), err)
}

// remove removes one entry of a folder.
func (r *removal) remove(dir *os.Root, name, at string, depth int) error {
	info, err := dir.Lstat(name)
	if err != nil {
		return failed("look at", at, err)
	}
	err = dir.Remove(name)
	if err != nil && info.IsDir() {
		var lifted bool
		if lifted, err = r.removeFolder(dir, name, at, depth); err != nil || lifted {
			return err
		}
	}
	if err != nil {
		return failed("reach", at, err)
	}
	r.size.Files++
	if links, _ := idOf(info); info.Mode().IsRegular() && links <= 1 { // the last of its names
		r.size.Bytes += info.Size()
	}
	return nil
}

// removeFolder removes a folder that is not empty, or lifts it.
func (r *removal) removeFolder(dir *os.Root, name, at string, depth int) (lifted bool, err error) {
	// Entries leave a folder, and moving it changes its "..", only where it is
	// writable.
	if err := dir.Chmod(name, 0o700); err != nil {
		return false, failed("open", at, err)
	}
	if depth == maxNested {
		return true, r.lift(at)
	}
	inner, err := dir.OpenRoot(name)
	if err != nil {
		return false, failed("open", at, err)
	}
	err = r.empty(inner, at, depth+1)
	if err = errors.Join(err, inner.Close()); err != nil {
		return false, err
	}
	return false, failed("empty", at, dir.Remove(name))
}

// lift moves a folder to the top, under a name that is free there.
func (r *removal) lift(from string) error {
	for {
		to := ".gone-" + strconv.Itoa(r.next)
		r.next++
		if _, err := r.top.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		r.lifted = true
		return failed("move", from, r.top.Rename(from, to))
	}
}
