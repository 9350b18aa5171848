package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"sort"
	"sync"

	wsys "github.com/tetratelabs/wazero/sys"

	"otelrunner/sandbox/deeptree"
)

// Limits bound what a guest can put into its file system; 0 is no limit.
type Limits struct {
	// Bytes is the sum of all files' sizes, counted as they are read, holes
	// included.
	Bytes int64
	// Files is the number of files, folders and links.
	Files int64
	// FileSize is the size of one file in bytes.
	FileSize int64
	// Open is how many files and folders may be open at a time.
	Open int64
}

// Quota counts what is in a file system against its limits. It is safe for
// concurrent use. A file that is removed while it is open counts until it is
// closed.
type Quota struct {
	mu     sync.Mutex
	limits Limits

	bytes, files, open int64

	// held are the open files, so that one that is removed is still counted.
	held map[id]int

	hit    string         // the first quota that was hit
	denied map[string]int // by reason
	sample map[string]string

	writes Written
}

// id is a file, whatever its names.
type id struct{ dev, ino uint64 }

// Written is what a guest has put on the disk.
type Written struct {
	Bytes int64 `json:"bytes"` // in all writes
	Files int64 `json:"files"` // files, folders and links made
}

// NewQuota makes a quota of which nothing is used.
func NewQuota(l Limits) *Quota {
	return &Quota{limits: l, held: map[id]int{}, denied: map[string]int{}, sample: map[string]string{}}
}

// Holding is what a file system holds: the bytes of all files, counted as they are
// read, and the number of files, with folders and links.
type Holding = deeptree.Size

// Counted is what is under a root. Where that is more than twice the files that may
// be there, it is not counted to the end. No guest may be running.
func Counted(ctx context.Context, root *os.Root, l Limits) (Holding, error) {
	most := int64(math.MaxInt64)
	if l.Files > 0 {
		most = 2 * l.Files
	}
	h, err := deeptree.Count(ctx, root, most)
	if errors.Is(err, deeptree.ErrMany) {
		err = nil
	}
	return h, err //nolint:wrapcheck // it says what was done
}

// Holds is what is counted.
func (q *Quota) Holds() Holding {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Holding{Bytes: q.bytes, Files: q.files}
}

// SetHolds says what there is: another quota has counted changes of the same
// folder. No guest may be running.
func (q *Quota) SetHolds(h Holding) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes, q.files = max(0, h.Bytes), max(0, h.Files)
}

// Reset sets other limits and forgets what was hit, denied and written; what is
// used stays counted. It is called between two steps.
func (q *Quota) Reset(l Limits) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limits, q.hit, q.writes = l, "", Written{}
	clear(q.denied)
	clear(q.sample)
}

// Hit is the sentence for the first quota that was hit, and its name: disk, files,
// file-size or open-files; both are "" when none was.
func (q *Quota) Hit() (name, text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch q.hit {
	case "disk":
		return q.hit, fmt.Sprintf("disk limit of %s reached", Size(q.limits.Bytes))
	case "files":
		return q.hit, fmt.Sprintf("limit of %d files reached", q.limits.Files)
	case "file-size":
		return q.hit, fmt.Sprintf("file size limit of %s reached", Size(q.limits.FileSize))
	case "open-files":
		return q.hit, fmt.Sprintf("limit of %d open files reached", q.limits.Open)
	}
	return "", ""
}

// Size spells a number of bytes for a person.
func Size(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// Denied says what was refused and how often, one line a reason, each with the
// first path of it as the guest spelled it.
func (q *Quota) Denied() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines := make([]string, 0, len(q.denied))
	for reason, n := range q.denied {
		lines = append(lines, fmt.Sprintf("%s: %d times, first %q", reason, n, q.sample[reason]))
	}
	sort.Strings(lines)
	return lines
}

// Written is what was written since the last Reset.
func (q *Quota) Written() Written {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.writes
}

// Drop counts out what was removed by other means than a file system of q.
func (q *Quota) Drop(h Holding) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes, q.files = max(0, q.bytes-h.Bytes), max(0, q.files-h.Files)
}

// maxSample bounds what is kept of a guest's path.
const maxSample = 200

func (q *Quota) deny(reason, name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.denyLocked(reason, name)
}

func (q *Quota) denyLocked(reason, name string) {
	if q.denied[reason] == 0 {
		q.sample[reason] = name[:min(len(name), maxSample)]
	}
	q.denied[reason]++
}

func (q *Quota) hitLocked(limit, name string) {
	if q.hit == "" {
		q.hit = limit
	}
	q.denyLocked(limit+" limit", name)
}

// addEntry counts a file, folder or link that is about to be made.
func (q *Quota) addEntry(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.limits.Files > 0 && q.files >= q.limits.Files {
		q.hitLocked("files", name)
		return false
	}
	q.files++
	q.writes.Files++
	return true
}

// dropEntry takes back addEntry.
func (q *Quota) dropEntry() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.files = max(0, q.files-1)
	q.writes.Files = max(0, q.writes.Files-1)
}

func (q *Quota) openOne(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.limits.Open > 0 && q.open >= q.limits.Open {
		q.hitLocked("open-files", name)
		return false
	}
	q.open++
	return true
}

func (q *Quota) closeOne() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open--
}

// mayGrow reports whether a file may change its size. The lock is held.
func (q *Quota) mayGrow(name string, from, to int64) bool {
	if to <= from {
		return true
	}
	if q.limits.FileSize > 0 && to > q.limits.FileSize {
		q.hitLocked("file-size", name)
		return false
	}
	if q.limits.Bytes > 0 && q.bytes+(to-from) > q.limits.Bytes {
		q.hitLocked("disk", name)
		return false
	}
	return true
}

func (q *Quota) wrote(n int) { q.writes.Bytes += int64(n) }

// gone counts out one name that was removed or replaced. The lock is held.
func (q *Quota) gone(info fs.FileInfo) {
	q.files = max(0, q.files-1)
	st := wsys.NewStat_t(info)
	if !info.Mode().IsRegular() || st.Nlink > 1 {
		return
	}
	if st.Ino != 0 && q.held[id{st.Dev, st.Ino}] > 0 {
		return // it takes its space until it is closed
	}
	q.bytes = max(0, q.bytes-st.Size)
}

func (q *Quota) hold(of id) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held[of]++
}

// release counts out an open file that is about to be closed.
func (q *Quota) release(r *regular) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held[r.id]--; q.held[r.id] > 0 {
		return
	}
	delete(q.held, r.id)
	if st, errno := r.stat(); errno == 0 && st.Ino != 0 && st.Nlink == 0 {
		q.bytes = max(0, q.bytes-st.Size)
	}
}
