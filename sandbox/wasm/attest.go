package wasm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"otelrunner/sandbox"
)

var _ sandbox.Attester = (*box)(nil)

// maxAttested bounds the modules that an attestation names: the first ones.
const maxAttested = 50

// ran keeps the SHA-256 of a module that a step has run.
func (b *box) ran(sum string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if sum != "" && len(b.modules) < maxAttested && !slices.Contains(b.modules, sum) {
		b.modules = append(b.modules, sum)
	}
}

// Attest implements sandbox.Attester.
func (b *box) Attest() []sandbox.Fact {
	jail, missing := b.slot.worker.held()
	facts := []sandbox.Fact{{Name: "mode", Value: b.provider.options.Mode}, {Name: "jail", Value: orNone(jail)}}
	if len(missing) > 0 {
		facts = append(facts, sandbox.Fact{Name: "missing", Value: strings.Join(missing, ", ")})
	}
	facts = append(facts, sandbox.Fact{Name: "worker", Value: "sha256:" + b.provider.program})
	b.mu.Lock()
	defer b.mu.Unlock()
	sums := make([]string, len(b.modules))
	for i, sum := range b.modules {
		sums[i] = "sha256:" + sum
	}
	return append(facts, sandbox.Fact{Name: "modules", Value: orNone(sums)})
}

// held says which features of the kernel hold a worker, and which do not.
func (w *process) held() (jail, missing []string) {
	jail, missing = slices.Clone(w.state.Jail), slices.Clone(w.state.Missing)
	switch {
	case w.noNamespaces == nil:
		jail = append(jail, namespaceNames)
	case canNamespace:
		reason := w.noNamespaces
		if e, ok := errors.AsType[syscall.Errno](reason); ok {
			reason = e
		}
		missing = append(missing, fmt.Sprintf("%s (%v)", namespaceNames, reason))
	}
	return jail, missing
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
