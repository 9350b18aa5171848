package wasm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"otelrunner/sandbox/deeptree"
)

// A provider's jobs lie in a folder of its own, jobs/NAME, beside the file
// jobs/NAME.lock, which it holds locked: the system ends the lock with the
// process, whatever ends that. What is not locked is a dead runner's.
const lockSuffix = ".lock"

// errLocked says that a living process holds a lock.
var errLocked = errors.New("locked")

// territory is the folder of a provider's jobs.
type territory struct {
	folder string
	lock   *os.File
}

// claim makes a territory in a folder.
func claim(jobs string) (*territory, error) {
	lock, err := os.CreateTemp(jobs, "runner-*"+lockSuffix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for WASM jobs: %w", err)
	}
	t := &territory{folder: strings.TrimSuffix(lock.Name(), lockSuffix), lock: lock}
	if err = tryLock(lock); err == nil {
		err = os.Mkdir(t.folder, 0o700)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a folder for WASM jobs: %w", err), lock.Close(), os.Remove(lock.Name()))
	}
	return t, nil
}

// release removes a territory; what is left in it goes too.
func (t *territory) release() error {
	err := removeFolder(context.Background(), t.folder)
	return errors.Join(err, t.lock.Close(), os.Remove(t.lock.Name()))
}

// startPause is how young a lock may be that is not locked: its owner locks it
// right after it has made it.
const startPause = time.Minute

// Sweep removes what dead runners have left in the folder of the WASM sandbox,
// Options.Root, as New does, and says of how many. It makes nothing, and is for a
// runner that may never need the sandbox again.
func Sweep(root string) (runners int, err error) { return sweep(filepath.Join(root, "jobs")) }

// sweep removes what dead runners have left in the folder of all jobs, and says
// of how many. What resists is an error, and stays for the next time.
func sweep(jobs string) (swept int, err error) {
	locks, err := filepath.Glob(filepath.Join(jobs, "runner-*"+lockSuffix))
	if err != nil {
		return 0, fmt.Errorf("look for dead runners' WASM jobs: %w", err)
	}
	var errs []error
	for _, name := range locks {
		gone, err := sweepOne(name)
		if gone {
			swept++
		}
		errs = append(errs, err)
	}
	return swept, errors.Join(errs...)
}

func sweepOne(name string) (gone bool, err error) {
	lock, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at a dead runner's WASM jobs: %w", err)
	}
	defer func() { _ = lock.Close() }()
	info, err := lock.Stat()
	folder := strings.TrimSuffix(name, lockSuffix)
	_, unmade := os.Lstat(folder)
	if err != nil || errors.Is(unmade, fs.ErrNotExist) && time.Since(info.ModTime()) < startPause {
		return false, nil // it is looked at again at the next start
	}
	switch err := tryLock(lock); {
	case errors.Is(err, errLocked):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("lock a dead runner's WASM jobs: %w", err)
	}
	if err := removeFolder(context.Background(), folder); err != nil {
		return false, err
	}
	_ = lock.Close() // an open file cannot be removed everywhere
	return true, os.Remove(name)
}

// removeFolder removes a folder, whatever guests have put there.
func removeFolder(ctx context.Context, folder string) error {
	if err := deeptree.RemoveFolder(ctx, folder); err != nil {
		return fmt.Errorf("remove a folder of WASM jobs: %w", err)
	}
	return nil
}
