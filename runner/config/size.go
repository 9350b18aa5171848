package config

import (
	"fmt"

	"github.com/docker/go-units"
)

// Size is a number of bytes, written like 512m or 4g: k, m, g and t stand for
// powers of 1024.
type Size int64

// String is s as people write it.
func (s Size) String() string {
	for _, unit := range []struct {
		name string
		size Size
	}{{"t", 1 << 40}, {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}} {
		if s >= unit.size && s%unit.size == 0 {
			return fmt.Sprintf("%d%s", s/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d", int64(s))
}

// ParseSize reads a size as it is written in the file.
func ParseSize(text string) (Size, error) {
	n, err := units.RAMInBytes(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no size: expected one like 512m or 4g", text)
	}
	return Size(n), nil
}
