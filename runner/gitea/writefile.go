package gitea

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// writeFileAtomically replaces path by a file of mode 0600. A symbolic link is
// followed, so that the file behind it is what is replaced. A single file that is
// mounted into a container cannot be replaced, only rewritten: that is done then.
func writeFileAtomically(path string, data []byte) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); errors.Is(err, syscall.EBUSY) {
		_ = os.Remove(tmp.Name())
		return os.WriteFile(path, data, 0o600)
	}
	return err
}
