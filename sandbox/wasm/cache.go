package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/singleflight"

	"otelrunner/sandbox/wasm/module"
	"otelrunner/sandbox/wasm/wire"
	"otelrunner/sandbox/wasm/worker"
)

// cache holds modules and their compiled forms. Entries are native code, so that
// only the runner writes here; a worker reads. Its folder is one of this binary
// and this engine. For each module, by the SHA-256 of what is compiled:
//
//	HASH.wasm        the module as it is compiled: checked, its tables bounded
//	HASH.json        the name and SHA-256 of its compiled form
//	wazero-…/…       the compiled form, where the engine looks for it
type cache struct {
	dir     string
	compile func(ctx context.Context, data []byte, to string) error
	flight  singleflight.Group
}

// manifest is HASH.json.
type manifest struct {
	Entry string `json:"entry"`
	Sum   string `json:"sum"`
}

func sumOf(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// ensure checks a module and has it compiled, unless it was before. The verdict's
// Error is a sentence; err is the runner's own trouble.
func (c *cache) ensure(ctx context.Context, data []byte, l Limits) (wire.Verdict, error) {
	info, err := module.Scan(data, module.Limits{Size: l.ModuleSize, Memory: l.Memory, TableElements: l.TableElements})
	if err == nil {
		err = info.Runnable(worker.Functions())
	}
	if err != nil {
		return wire.Verdict{Error: worker.Plain(err.Error())}, nil
	}
	sum := sumOf(data)
	prepared := info.Clamp(data, l.TableElements)
	hash := sumOf(prepared)
	_, err, _ = c.flight.Do(hash, func() (any, error) {
		if c.valid(hash) {
			return nil, nil
		}
		return nil, c.add(ctx, hash, prepared)
	})
	var refused *refusedError
	if errors.As(err, &refused) {
		return wire.Verdict{Error: refused.text}, nil
	}
	return wire.Verdict{File: hash + ".wasm", Sum: sum}, err
}

// refusedError is a module that does not compile.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// valid reports whether a compiled form is there as it was written. What was
// changed is compiled again.
func (c *cache) valid(hash string) bool {
	data, err := os.ReadFile(filepath.Join(c.dir, hash+".json"))
	var m manifest
	if err != nil || json.Unmarshal(data, &m) != nil || !filepath.IsLocal(m.Entry) {
		return false
	}
	f, err := os.Open(filepath.Join(c.dir, m.Entry))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil || hex.EncodeToString(sum.Sum(nil)) != m.Sum {
		return false
	}
	source, err := os.ReadFile(filepath.Join(c.dir, hash+".wasm"))
	return err == nil && sumOf(source) == hash
}

// add compiles a module in a folder of its own, and moves the result here, its
// manifest last.
func (c *cache) add(ctx context.Context, hash string, data []byte) (err error) {
	dir, err := os.MkdirTemp(c.dir, "compile-")
	if err != nil {
		return fmt.Errorf("compile a WebAssembly module: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := c.compile(ctx, data, dir); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("compile a WebAssembly module: the engine left %d files, want 1", len(found))
	}
	compiled, err := os.ReadFile(found[0])
	if err != nil {
		return fmt.Errorf("compile a WebAssembly module: %w", err)
	}
	entry := filepath.Join(filepath.Base(filepath.Dir(found[0])), filepath.Base(found[0]))
	m, err := json.Marshal(manifest{Entry: entry, Sum: sumOf(compiled)})
	if err != nil {
		return fmt.Errorf("compile a WebAssembly module: %w", err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{entry, compiled}, {hash + ".wasm", data}, {hash + ".json", m}} {
		if err := replace(filepath.Join(c.dir, f.name), f.data); err != nil {
			return fmt.Errorf("keep a compiled WebAssembly module: %w", err)
		}
	}
	return nil
}

// replace writes a file at once: a reader sees the old one or the new one.
func replace(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err //nolint:wrapcheck // add says what was done
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-")
	if err != nil {
		return err //nolint:wrapcheck // as above
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
