package runner

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"github.com/gofrs/flock"
)

// lockRegistration sees to it that one process alone serves a registration: two
// would each take what the other runs for the leftovers of a dead process. The
// registration file itself is locked, which may be on a file system that cannot
// be written to; on Windows a file beside it, since a locked one cannot be read
// there. The system ends the lock with the process.
func lockRegistration(file string, log *slog.Logger) (unlock func(), err error) {
	name, flags := file, os.O_RDONLY
	if runtime.GOOS == "windows" {
		name, flags = file+".lock", os.O_CREATE|os.O_RDWR
	}
	lock := flock.New(name, flock.SetFlag(flags), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	switch {
	case err != nil:
		// Some network file systems have no locks. The journal has one, too.
		log.Warn("the registration cannot be locked; see to it that no second runner uses it", "file", file, "error", err)
		return func() {}, nil
	case !locked:
		return nil, fmt.Errorf("%s: another runner is serving this registration: stop it first, or give this one a registration of its own (another runner.file, and `runner register`)", file)
	}
	return func() { _ = lock.Close() }, nil
}
