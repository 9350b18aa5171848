//go:build !unix

package worker

// pages is a memory on Go's heap.
type pages struct{ data []byte }

func reserve(uint64) pages { return pages{} }

func (p *pages) grow(size uint64) []byte {
	if size > uint64(len(p.data)) {
		p.data = append(p.data, make([]byte, size-uint64(len(p.data)))...)
	}
	if p.data == nil {
		p.data = []byte{}
	}
	return p.data[:size:size]
}

func (p *pages) free() { p.data = nil }
