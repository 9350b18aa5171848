//go:build !unix

package deeptree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// maxDepth bounds what is looked into where a folder cannot be left by "..".
const maxDepth = 1000

// Count counts what lies in a root, up to most entries: with more of them it
// returns what it has counted, and ErrMany. A tree of more than 1000 folders in one
// another is an error, as is a context that has ended.
func Count(ctx context.Context, root *os.Root, most int64) (Size, error) {
	c := &counter{most: most}
	err := fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case name == ".":
			return nil
		case strings.Count(name, "/") > maxDepth:
			return fmt.Errorf("folders lie in one another more than %d times", maxDepth)
		}
		info, err := root.Lstat(name)
		if err != nil {
			return nil //nolint:nilerr // it is gone
		}
		links, file := idOf(info)
		return c.add(info.Mode(), info.Size(), links, file)
	})
	if err != nil && !errors.Is(err, ErrMany) {
		err = fmt.Errorf("count files: %w", err)
	}
	return c.size, err
}
