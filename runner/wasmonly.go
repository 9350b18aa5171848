package runner

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"

	"otelrunner/runner/config"
	"otelrunner/runner/label"
	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm/netgate"
)

// The mode wasm-only: whatever would leave the WASM sandbox is refused before
// anything of it runs, and what it would take (the host sandbox, a container
// engine) is not even made.

func wasmOnly(cfg *config.Config) bool { return cfg.Sandbox.Mode == config.WASMOnly }

const whyRefused = "This runner runs nothing but WebAssembly (its sandbox.mode is wasm-only): "

// What jobs are told that ask for another sandbox.
var (
	noHost       = &explained{whyRefused + "a label of the kind name:host would run the job on its machine; give the label the scheme wasm, or run the job on another runner", sandbox.ErrUnsupported}
	noContainers = &explained{whyRefused + "containers (labels of the kind name:docker://image, container: and services:) are not run; take them out of the job and give its label the scheme wasm, or run the job on another runner", sandbox.ErrUnsupported}
)

// refusing stands for a sandbox that the mode forbids.
type refusing struct{ err error }

// Open implements sandbox.Provider.
func (r refusing) Open(context.Context, sandbox.Spec) (sandbox.Sandbox, error) { return nil, r.err }

// fetchTransport carries what the runner fetches for workflows, and trust lets it
// reach a server that the Gitea server names. In the mode wasm-only nothing else in a
// private network is reached, as jobs there have no other way to it; those of the
// other mode reach it by themselves.
func fetchTransport(o engineOptions) (transport http.RoundTripper, trust func(address string), err error) {
	if !wasmOnly(o.cfg) {
		return o.transport, nil, nil
	}
	guard, err := netgate.NewGuard(o.transport, o.cfg.Sandbox.PrivateHosts, netgate.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox.private_hosts: %w", err)
	}
	guard.Trust(o.instance)
	return guard, guard.Trust, nil
}

// checkWasmOnly says why a runner of the mode cannot start, and warns of labels
// whose jobs it will refuse.
func checkWasmOnly(cfg *config.Config, labels label.List, log *slog.Logger) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("sandbox.mode wasm-only is not available on %s: what holds a worker there is the WebAssembly engine alone; run the runner on Linux, or with the mode any", runtime.GOOS)
	}
	if !slices.ContainsFunc(labels, func(l label.Label) bool { return l.Scheme == label.Wasm }) {
		return fmt.Errorf("sandbox.mode is wasm-only, and no label has the scheme wasm (%v): every job would be refused; set runner.labels, like [\"linux:wasm\"]", labels.Strings())
	}
	for _, l := range labels {
		if l.Scheme != label.Wasm {
			log.Warn("jobs of this label will be refused, because sandbox.mode is wasm-only", "label", l.String())
		}
	}
	if cfg.Sandbox.AllowWeak {
		log.Warn("sandbox.allow_weak is on: a kernel without Landlock is no reason not to start; what then holds a module that breaks out of the WebAssembly engine is the filter of system calls and, where permitted, namespaces, and this user's files are open to it")
	}
	return nil
}
