package host_test

import (
	"testing"

	"otelrunner/sandbox"
	"otelrunner/sandbox/host"
	"otelrunner/sandbox/sandboxtest"
)

func provider(t testing.TB, o host.Options) sandbox.Provider {
	t.Helper()
	if o.Root == "" {
		o.Root = t.TempDir()
	}
	p, err := host.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestConformance runs the suite with each way to hold processes together.
func TestConformance(t *testing.T) {
	for name, o := range map[string]host.Options{
		"groups":   {},
		"tracking": {NoControlGroup: true},
	} {
		t.Run(name, func(t *testing.T) {
			sandboxtest.Run(t, sandboxtest.Harness{
				Provider: func(t *testing.T) sandbox.Provider { return provider(t, o) },
				Outside:  true,
			})
		})
	}
}
