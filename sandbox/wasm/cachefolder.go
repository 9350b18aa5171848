package wasm

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/tetratelabs/wazero"
)

// Each version of the program has a folder of its own in the cache's folder, named
// by the first 16 digits of its SHA-256. Its time is when it was last used.

// unusedAfter is how long another version's folder stays after its last use.
const unusedAfter = 7 * 24 * time.Hour

var versionFolder = regexp.MustCompile(`^[0-9a-f]{16}$`)

// use makes the cache's folder where it is not there and says that it is used.
func (c *cache) use() error {
	now := time.Now()
	err := os.Chtimes(c.dir, now, now)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(c.dir, 0o700); err == nil {
			// This makes the folder in which the engine looks; workers cannot.
			_, err = wazero.NewCompilationCacheWithDir(c.dir)
		}
	}
	if err != nil {
		return fmt.Errorf("make the cache of the WASM sandbox: %w", err)
	}
	return nil
}

// sweepCaches removes the folders of versions that nobody has used for long. Their
// owners would make them again.
func sweepCaches(all, own string, log *slog.Logger) {
	entries, err := os.ReadDir(all)
	if err != nil {
		return // it is made in a moment
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == own || !versionFolder.MatchString(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < unusedAfter {
			continue
		}
		if err := os.RemoveAll(filepath.Join(all, e.Name())); err != nil {
			log.Warn("the compiled modules of an old version of the runner could not be removed", "error", err)
			continue
		}
		log.Info("the compiled modules of an old version of the runner are removed", "folder", filepath.Join(all, e.Name()))
	}
}
