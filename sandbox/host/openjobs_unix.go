//go:build linux || darwin

package host

import "sync"

// openJobs are those of this process. Orphans come to it, however many Providers
// it has: a reload makes a second one while jobs of the first go on.
var openJobs jobCount //nolint:gochecknoglobals // counts a property of the process

// jobCount says which orphans can only be those of one job. It is safe for
// concurrent use.
type jobCount struct {
	mu    sync.Mutex
	open  int
	since uint64 // when the first of them was opened
}

func (c *jobCount) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == 0 {
		c.since = clock()
	}
	c.open++
}

func (c *jobCount) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
}

// adoption says whether orphans without a claim can only be the asking job's,
// and since when.
func (c *jobCount) adoption() (only bool, since uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open <= 1, c.since
}
