package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
)

func TestASecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
	if pid, ok, err := Owner(dir); pid != os.Getpid() || !ok || err != nil {
		t.Errorf("the owner is %d, %v, %v", pid, ok, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "nowhere")} {
		if _, ok, err := Owner(d); ok || err != nil {
			t.Errorf("%s has an owner: %v, %v", d, ok, err)
		}
	}
	open(t, Options{Dir: dir})
}

// Who asks for the owner holds the lock for a moment: that is no owner for the
// next one who asks, and no runner for one that starts.
func TestAskingForTheOwnerDisturbsNobody(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, Options{Dir: dir}).Close(); err != nil { // leaves its number
		t.Fatal(err)
	}
	asking := flock.New(filepath.Join(dir, lockName))
	if ok, err := asking.TryRLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if pid, ok, err := Owner(dir); ok || err != nil {
		t.Errorf("a process that has ended is the owner: %d, %v", pid, err)
	}
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan error)
		go func() {
			j, err := Open(Options{Dir: dir})
			if err == nil {
				err = j.Close()
			}
			opened <- err
		}()
		time.Sleep(lockPatience / 2)
		synctest.Wait()
		select {
		case err := <-opened:
			t.Fatalf("it does not wait for who asks: %v", err)
		default:
		}
		if err := asking.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-opened; err != nil {
			t.Errorf("a runner that starts: %v", err)
		}
	})
}
