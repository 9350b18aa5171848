package wasmmodule_test

import (
	"context"
	"testing"

	"otelrunner/runner/action/actiontest"
	"otelrunner/runner/action/wasmmodule"
)

func newRegistry(t *testing.T) *actiontest.Registry {
	t.Helper()
	r := actiontest.NewRegistry()
	t.Cleanup(r.Close)
	return r
}

func newFetcher(t *testing.T, dir string, change func(*wasmmodule.Options)) *wasmmodule.Fetcher {
	t.Helper()
	o := wasmmodule.Options{Dir: dir}
	if change != nil {
		change(&o)
	}
	f, err := wasmmodule.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func fetch(t *testing.T, f *wasmmodule.Fetcher, uses string) (*wasmmodule.Module, error) {
	t.Helper()
	ref, err := wasmmodule.Parse(uses)
	if err != nil {
		t.Fatal(err)
	}
	return f.Fetch(context.WithoutCancel(t.Context()), ref)
}
