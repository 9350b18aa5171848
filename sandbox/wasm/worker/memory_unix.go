//go:build unix

package worker

import "golang.org/x/sys/unix"

// pages is a range of addresses of which the first part can be used: a memory
// grows without being copied, and goes back to the system at its end.
type pages struct {
	all  []byte
	size uint64
}

func reserve(most uint64) pages {
	all, err := unix.Mmap(-1, 0, int(max(most, 1)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON) //nolint:gosec // at most 4 GiB
	if err != nil {
		return pages{}
	}
	return pages{all: all}
}

func (p *pages) grow(size uint64) []byte {
	if size > uint64(len(p.all)) {
		return nil
	}
	if size > p.size {
		if err := unix.Mprotect(p.all[:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil
		}
		p.size = size
	}
	return p.all[:size:size]
}

func (p *pages) free() {
	if p.all != nil {
		_ = unix.Munmap(p.all)
		p.all = nil
	}
}
