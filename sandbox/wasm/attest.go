package wasm

import (
	"slices"
	"strings"

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
	jail, missing := b.provider.held(b.slot.worker)
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
func (p *Provider) held(w *process) (jail, missing []string) {
	jail = slices.Clone(w.state.Jail)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.namespaces {
		jail = append(jail, namespaceNames)
	}
	return jail, w.state.Missing
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
