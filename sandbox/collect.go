package sandbox

import (
	"errors"
	"io/fs"
)

// DefaultCollectLimit is Command.CollectLimit where a command has none, in bytes.
const DefaultCollectLimit = 16 << 20

// CollectFiles does what Command.Collect asks for, for a sandbox that reads files
// by read, which gives a *LimitError for a file of more than limit bytes. What is
// not there is left out; the first file that cannot be had is the error, and the
// others are still collected.
func CollectFiles(c *Command, read func(path string, limit int64) ([]byte, error)) (map[string][]byte, error) {
	if len(c.Collect) == 0 {
		return nil, nil
	}
	limit := c.CollectLimit
	if limit == 0 {
		limit = DefaultCollectLimit
	}
	var first error
	collected := make(map[string][]byte, len(c.Collect))
	for _, name := range c.Collect {
		data, err := read(name, limit)
		switch {
		case err == nil:
			collected[name] = data
		case !errors.Is(err, fs.ErrNotExist) && first == nil:
			first = err
		}
	}
	return collected, first
}
