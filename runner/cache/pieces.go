package cache

import "slices"

// A piece is the bytes from from to before to.
type piece struct{ from, to int64 }

// maxPieces bounds how many holes what has come may have.
const maxPieces = 4096

// pieces are what has come of a file: in order, with a hole between each two.
type pieces []piece

// add adds a piece, which may have come before, and reports whether there was room
// for it.
func (p *pieces) add(one piece) bool {
	if one.from >= one.to {
		return true
	}
	// All that touch the new one become one with it.
	first, _ := slices.BinarySearchFunc(*p, one.from, func(q piece, from int64) int {
		if q.to < from {
			return -1
		}
		return 1
	})
	last := first
	for last < len(*p) && (*p)[last].from <= one.to {
		one.from, one.to = min(one.from, (*p)[last].from), max(one.to, (*p)[last].to)
		last++
	}
	if last == first && len(*p) >= maxPieces {
		return false
	}
	*p = slices.Replace(*p, first, last, one)
	return true
}

// size is how many bytes they are.
func (p pieces) size() (n int64) {
	for _, one := range p {
		n += one.to - one.from
	}
	return n
}

// whole reports whether they are the bytes from 0 to before size, and no others.
func (p pieces) whole(size int64) bool {
	if size == 0 {
		return len(p) == 0
	}
	return len(p) == 1 && p[0] == piece{0, size}
}
