package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// identity names an entry: a scope has one of each key and version.
type identity struct {
	Server     string `json:"server"`
	Repository string `json:"repository"`
	Ref        string `json:"ref"`
	Version    string `json:"version"`
	Key        string `json:"key"`
}

// shelf is the folder, below the one of all entries, of those that differ from id only
// in their key.
func (id *identity) shelf() string {
	return filepath.Join(name(id.Server, id.Repository), name(id.Ref), name(id.Version))
}

// file is the entry's file below the folder of all entries.
func (id *identity) file() string { return filepath.Join(id.shelf(), name(id.Key)) }

// name makes a file's name out of texts that anybody may have chosen. Whether they are
// the ones that were meant is read from the file.
func name(texts ...string) string {
	h := sha256.New()
	for _, s := range texts {
		_ = binary.Write(h, binary.BigEndian, uint64(len(s))) // a hash takes all
		h.Write([]byte(s))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// An entry's file holds the content, then the description as JSON, then the length of
// that in four bytes, then the mark: one file, which is there as a whole or not at
// all. The time of its last change is the one of its last use.
const (
	mark           = "otrcache"
	tailSize       = 4 + len(mark)
	maxDescription = 64 << 10
)

// description is what an entry says of itself.
type description struct {
	identity
	Size    int64     `json:"size"` // of the content
	Created time.Time `json:"created"`
}

var errNoEntry = errors.New("not an entry of the cache")

// tail is what follows the content.
func (d *description) tail() ([]byte, error) {
	data, err := json.Marshal(d)
	if err != nil || len(data) > maxDescription {
		return nil, fmt.Errorf("describe an entry of the cache in %d bytes: %w", len(data), errors.Join(err, errNoEntry))
	}
	n := uint32(len(data)) //nolint:gosec // bounded above
	return append(binary.BigEndian.AppendUint32(data, n), mark...), nil
}

// describe reads the description of an open file.
func describe(f *os.File) (*description, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read an entry of the cache: %w", err)
	}
	var end [tailSize]byte
	at := info.Size() - int64(tailSize)
	if at < 0 || !info.Mode().IsRegular() {
		return nil, errNoEntry
	}
	if _, err := f.ReadAt(end[:], at); err != nil {
		return nil, fmt.Errorf("read an entry of the cache: %w", err)
	}
	n := int64(binary.BigEndian.Uint32(end[:]))
	if string(end[4:]) != mark || n > maxDescription || n > at {
		return nil, errNoEntry
	}
	data := make([]byte, n)
	if _, err := f.ReadAt(data, at-n); err != nil {
		return nil, fmt.Errorf("read an entry of the cache: %w", err)
	}
	d := &description{}
	if json.Unmarshal(data, d) != nil || d.Size != at-n {
		return nil, errNoEntry
	}
	return d, nil
}

// read reads the description of the file name; what is no entry is removed.
func read(name string) (*description, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read an entry of the cache: %w", err)
	}
	d, err := describe(f)
	_ = f.Close() // it was only read
	if errors.Is(err, errNoEntry) {
		_ = os.Remove(name) // the next sweep tries again
	}
	return d, err
}
