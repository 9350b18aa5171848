package sandbox

import (
	"context"
	"io/fs"
)

// An Importer is a Sandbox that takes a whole tree into a folder at once, with no
// program's help.
type Importer interface {
	Sandbox

	// Import copies a tree into a folder, which is made where it is not there,
	// over what is in it: folders stay with what they hold, anything else
	// gives way. Symbolic links that leave the tree are an error.
	Import(ctx context.Context, dir string, tree fs.FS) error
}
