package jobtest

import (
	"context"
	"strings"

	"otelrunner/sandbox"
)

// WithFiles returns a provider whose sandboxes have the case's files in their
// workspace from the start.
func (c *Case) WithFiles(p sandbox.Provider) sandbox.Provider {
	return provider{p, c.Files}
}

type provider struct {
	sandbox.Provider
	files map[string]string
}

// Open implements sandbox.Provider.
func (p provider) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	s, err := p.Provider.Open(ctx, spec)
	if err != nil || len(p.files) == 0 {
		return s, err
	}
	sep := "/"
	if s.Info().OS == "windows" {
		sep = `\`
	}
	var files []sandbox.File
	for name, text := range p.files {
		name = strings.ReplaceAll(name, "/", sep)
		files = append(files, sandbox.File{Path: s.Info().Workspace + sep + name, Data: []byte(text), Mode: 0o755})
	}
	return s, s.WriteFiles(ctx, files)
}
