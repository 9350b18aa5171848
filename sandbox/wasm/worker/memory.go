package worker

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
)

// memory makes the linear memories of one step's instances, and bounds their sum.
// It is safe for concurrent use.
type memory struct {
	limit  int64 // bytes; 0 is none
	used   atomic.Int64
	peak   atomic.Int64
	denied atomic.Bool
}

// Allocate implements experimental.MemoryAllocator.
func (m *memory) Allocate(_, most uint64) experimental.LinearMemory {
	return &linear{memory: m, pages: reserve(most)}
}

// fatal gives memories of the same step whose instance ends where one is refused
// more: the shell's. A Go program cannot go on without, and would write its
// goroutines, some hundred lines, in front of the sentence that says why.
type fatal struct{ memory *memory }

// Allocate implements experimental.MemoryAllocator.
func (f fatal) Allocate(_, most uint64) experimental.LinearMemory {
	return &linear{memory: f.memory, pages: reserve(most), fatal: true}
}

// take counts n more bytes, unless the limit forbids it.
func (m *memory) take(n int64) bool {
	used := m.used.Add(n)
	if m.limit > 0 && used > m.limit {
		m.used.Add(-n)
		m.denied.Store(true)
		return false
	}
	for {
		peak := m.peak.Load()
		if used <= peak || m.peak.CompareAndSwap(peak, used) {
			return true
		}
	}
}

// linear is one memory.
type linear struct {
	memory *memory
	pages  pages
	size   int64
	begun  bool // it has had its first size
	fatal  bool // a refusal ends the instance
}

// Reallocate implements experimental.LinearMemory: nil where the limit or the
// system has no more.
func (l *linear) Reallocate(size uint64) []byte {
	data := l.resize(size)
	if data == nil && !l.begun {
		l.pages.free() // the engine gives up without calling Free
	}
	if data == nil && l.begun && l.fatal {
		panic(sys.NewExitError(exitKilled)) // the engine ends the instance with it
	}
	l.begun = true
	return data
}

func (l *linear) resize(size uint64) []byte {
	more := int64(size) - l.size //nolint:gosec // at most 4 GiB
	if more > 0 && !l.memory.take(more) {
		return nil
	}
	data := l.pages.grow(size)
	if data == nil {
		l.memory.used.Add(-more)
		l.memory.denied.Store(true)
		return nil
	}
	l.size += more
	return data
}

// Free implements experimental.LinearMemory.
func (l *linear) Free() {
	l.memory.used.Add(-l.size)
	l.size = 0
	l.pages.free()
}

// fixedRandom is randomness that is the same in every run.
type fixedRandom struct{ r *rand.ChaCha8 }

func newFixedRandom() *fixedRandom { return &fixedRandom{rand.NewChaCha8([32]byte{})} }

func (f *fixedRandom) Read(p []byte) (int, error) { return f.r.Read(p) }
