package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrInUse says that another process uses the folder.
var ErrInUse = errors.New("another runner is using it")

// lockPatience is how long a lock that somebody holds is waited for: Owner, in any
// process, holds it for a moment.
const lockPatience = time.Second

// acquire locks the folder for this process.
func acquire(dir string) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	locked, err := lock.TryLockContext(ctx, lockPatience/50)
	switch {
	case locked:
		return lock, nil
	case err != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("lock the journal: %w", err)
	}
	return nil, fmt.Errorf("the journal %s: %w", dir, ErrInUse)
}

// Owner is the number of the process that has the journal in dir; ok is false if
// there is none.
func Owner(dir string) (pid int, ok bool, err error) {
	name := filepath.Join(dir, lockName)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	lock := flock.New(name, flock.SetPermissions(0o600))
	locked, err := lock.TryRLock() // which others who ask may hold, too
	if err != nil {
		return 0, false, fmt.Errorf("look who has the journal %s: %w", dir, err)
	}
	if locked {
		return 0, false, lock.Close()
	}
	data, err := os.ReadFile(filepath.Join(dir, pidName))
	if err != nil {
		return 0, false, fmt.Errorf("look who has the journal %s: %w", dir, err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return 0, false, fmt.Errorf("look who has the journal %s: %s does not hold a process number", dir, pidName)
	}
	return pid, true, nil
}
