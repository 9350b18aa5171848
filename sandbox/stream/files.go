package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"otelrunner/sandbox"
	"otelrunner/sandbox/staging"
	"otelrunner/sandbox/stream/wire"
)

// LookPath finds an executable as Run would.
func (c *Client) LookPath(ctx context.Context, name string, searched []string) (string, error) {
	var found string
	err := c.call(ctx, wire.MethodLookPath, func(e *wire.Encoder) {
		e.String(name)
		e.Strings(searched)
	}, func(d *wire.Decoder) { found = d.String(wire.MaxPath) })
	return found, rename(err, name)
}

// rename puts the caller's own name into a NotFoundError.
func rename(err error, name string) error {
	if e, ok := errors.AsType[*sandbox.NotFoundError](err); ok && name != "" {
		return &sandbox.NotFoundError{Name: name, Hint: e.Hint}
	}
	return err
}

// ReadFile reads a whole file of at most limit bytes.
func (c *Client) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	limit = min(limit, wire.MaxFile)
	var data []byte
	err := c.call(ctx, wire.MethodReadFile, func(e *wire.Encoder) {
		e.String(name)
		e.Uint(uint64(max(0, limit)))
	}, func(d *wire.Decoder) { data = d.Data(int(max(0, limit))) })
	return data, err
}

// WriteFiles writes files with their parent folders.
func (c *Client) WriteFiles(ctx context.Context, files []sandbox.File) error {
	if err := checkFiles(files); err != nil {
		return err
	}
	return c.call(ctx, wire.MethodWriteFiles, func(e *wire.Encoder) { wire.AppendFiles(e, files) }, nil)
}

func checkFiles(files []sandbox.File) error {
	for _, f := range files {
		if len(f.Data) > wire.MaxFile || len(f.Path) > wire.MaxPath {
			return fmt.Errorf("write %.200s: it has %d bytes, and at most %d can be sent into a container", f.Path, len(f.Data), wire.MaxFile)
		}
	}
	return nil
}

// HashFiles is GitHub's hashFiles, computed in the container.
func (c *Client) HashFiles(ctx context.Context, dir string, patterns []string, followSymlinks bool) (string, error) {
	var sum string
	err := c.call(ctx, wire.MethodHashFiles, func(e *wire.Encoder) {
		e.String(dir)
		e.Strings(patterns)
		e.Bool(followSymlinks)
	}, func(d *wire.Decoder) {
		if sum = d.String(sumSize); !isSum(sum) {
			d.Violation("hashFiles gave %q", sum)
		}
	})
	return sum, err
}

// sumSize is the length of a SHA-256 in hex.
const sumSize = 64

func isSum(s string) bool {
	if s == "" {
		return true
	}
	for _, b := range []byte(s) {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return len(s) == sumSize
}

// stagedTree is one staged tree: the first caller sends it, the others wait.
type stagedTree struct {
	done chan struct{}
	path string
	err  error
}

// Stage makes a copy of a tree available under Session.Temp.
func (c *Client) Stage(ctx context.Context, name string, tree fs.FS) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fmt.Errorf("stage %q: not a relative path with forward slashes", name)
	}
	for {
		c.mu.Lock()
		t := c.staged[name]
		mine := t == nil
		if mine {
			t = &stagedTree{done: make(chan struct{})}
			c.staged[name] = t
		}
		c.mu.Unlock()
		if mine {
			t.path, t.err = c.stage(ctx, name, tree)
			if t.err != nil {
				c.mu.Lock()
				delete(c.staged, name) // the next call may try again
				c.mu.Unlock()
				t.err = fmt.Errorf("stage %s: %w", name, t.err)
			}
			close(t.done)
			return t.path, t.err
		}
		select {
		case <-t.done:
			if t.err == nil {
				return t.path, nil
			}
			// Its caller may have been cancelled; this one has not been.
			if !errors.Is(t.err, context.Canceled) && !errors.Is(t.err, context.DeadlineExceeded) {
				return "", t.err
			}
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// Import puts a tree into a folder, over what is there.
func (c *Client) Import(ctx context.Context, dir string, tree fs.FS) error {
	err := c.sendInto(ctx, wire.MethodImport, dir, tree, nil)
	if err != nil {
		return fmt.Errorf("copy into %s: %w", dir, err)
	}
	return nil
}

// sendInto sends a tree to a place.
func (c *Client) sendInto(ctx context.Context, m wire.Method, to string, tree fs.FS, answer func(*wire.Decoder)) error {
	entries, err := staging.Walk(ctx, tree)
	if err != nil {
		return err
	}
	e := &wire.Encoder{Bytes: []byte{byte(m)}}
	e.String(to)
	s, err := c.open(ctx, e.Bytes)
	if err != nil {
		return c.failed(err)
	}
	defer s.Reset("the tree could not be sent")
	if err := sendTree(ctx, s, tree, entries); err != nil {
		return c.failed(err)
	}
	return c.answer(ctx, s, answer)
}

func (c *Client) stage(ctx context.Context, name string, tree fs.FS) (string, error) {
	var at string
	err := c.sendInto(ctx, wire.MethodStage, name, tree, func(d *wire.Decoder) { at = d.String(wire.MaxPath) })
	if err == nil && at != path.Join(c.temp(), name) {
		err = c.failed(&wire.ProtocolError{Text: fmt.Sprintf("it staged %s at %q", name, at)})
	}
	return at, err
}

func (c *Client) temp() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.Temp
}

// sendTree sends entries, gathering small ones.
func sendTree(ctx context.Context, s *wire.Stream, tree fs.FS, entries []staging.Entry) error {
	e := &wire.Encoder{Bytes: make([]byte, 0, 2*wire.MaxPayload)}
	flush := func(limit int) error {
		if len(e.Bytes) <= limit {
			return nil
		}
		_, err := s.WriteContext(ctx, e.Bytes)
		e.Bytes = e.Bytes[:0]
		return err
	}
	for _, entry := range entries {
		e.Bool(true)
		entryOf(entry).Append(e)
		if entry.Mode.IsRegular() {
			if err := sendFile(tree, entry, e, func() error { return flush(wire.MaxPayload) }); err != nil {
				return err
			}
		}
		if err := flush(wire.MaxPayload); err != nil {
			return err
		}
	}
	e.Bool(false)
	if err := flush(0); err != nil {
		return err
	}
	s.CloseWrite()
	return nil
}

func entryOf(entry staging.Entry) wire.Entry {
	return wire.Entry{Path: entry.Path, Mode: entry.Mode, Target: entry.Target, Size: entry.Size}
}

// sendFile sends the content of a file, of exactly the size that the walk saw.
func sendFile(tree fs.FS, entry staging.Entry, e *wire.Encoder, flush func() error) error {
	f, err := tree.Open(entry.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for left := entry.Size; left > 0; {
		step := int(min(left, wire.MaxPayload))
		start := len(e.Bytes)
		e.Bytes = append(e.Bytes, make([]byte, step)...)
		if _, err := io.ReadFull(f, e.Bytes[start:]); err != nil {
			return fmt.Errorf("%s has changed while it was read: %w", entry.Path, err)
		}
		left -= int64(step)
		if err := flush(); err != nil {
			return err
		}
	}
	return nil
}
