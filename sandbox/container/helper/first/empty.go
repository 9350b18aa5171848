package first

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// empty removes what lies in a folder, and not the folder. Links are removed and
// not followed.
func empty(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("empty a folder: %w", err)
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(folder, e.Name())))
	}
	return errors.Join(errs...)
}
