package wasm

import (
	"context"
	"fmt"
	"sync"

	"otelrunner/sandbox/wasm/wire"
)

// Compiling begins the line that tells of a long wait in Spec.Log.
const Compiling = "Compiling the shell of the WASM sandbox"

// shell is the toolbox as a provider has it: compiled in the cache. The module
// itself is not kept, as its compiled form is all that workers need.
type shell struct {
	load func() ([]byte, error) // nil: there is none

	mu      sync.Mutex
	verdict wire.Verdict // of the last load; its File is "" before
}

func (s *shell) there() bool { return s.load != nil }

// sum is the SHA-256 of the module, in hex; "" before it was compiled.
func (s *shell) sum() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.verdict.Sum
}

// ready has the toolbox compiled where it is not, and says where it is, which it is
// until the lease ends. telling gets a line where that takes long.
func (s *shell) ready(ctx context.Context, c *cache, l Limits, telling func(string)) (wire.Verdict, *lease, error) {
	s.mu.Lock()
	known := s.verdict
	s.mu.Unlock()
	if held, err := c.again(ctx, known); held != nil || err != nil {
		return known, held, err
	}
	read := func() ([]byte, error) {
		module, err := s.load()
		if err != nil {
			err = fmt.Errorf("load the shell of the WASM sandbox: %w", err)
		}
		return module, err
	}
	l.ModuleSize = 0
	v, held, err := c.load(ctx, read, l, asker{log: telling}, func() {
		telling(Compiling + "; this takes seconds, once for each version of the runner")
	})
	if err != nil {
		return wire.Verdict{}, nil, err
	}
	if v.Error != "" {
		return wire.Verdict{}, nil, fmt.Errorf("load the shell of the WASM sandbox: %s", v.Error)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdict = v
	return v, held, nil
}
