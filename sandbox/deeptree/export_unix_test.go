//go:build unix

package deeptree

import (
	"context"
	"os"
)

// CountWithin is Count with another bound of names.
func CountWithin(ctx context.Context, root *os.Root, most int64, names int) (Size, error) {
	return count(ctx, root, most, names)
}
