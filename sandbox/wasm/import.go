package wasm

import (
	"context"
	"fmt"
	"io/fs"

	"otelrunner/sandbox"
)

// Importer is a sandbox that takes a whole tree into a folder at once.
type Importer interface {
	// Import copies a tree into a folder, which is made where it is not there,
	// over what is in it. Symbolic links that leave the tree are an error.
	Import(ctx context.Context, dir string, tree fs.FS) error
}

var (
	_ Importer        = (*box)(nil)
	_ sandbox.Sandbox = (*box)(nil)
)

// Import implements Importer.
func (b *box) Import(ctx context.Context, dir string, tree fs.FS) error {
	if err := b.copyTree(ctx, b.abs(dir), tree); err != nil {
		return fmt.Errorf("copy into %s: %w", dir, err)
	}
	return nil
}
