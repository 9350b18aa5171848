package workflow

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow/expr"
)

// Parse reads a workflow file. file is only a name for messages. The error is
// an Errors with every problem that was found; warnings do not make an error.
func Parse(file string, data []byte) (*Workflow, error) {
	return parse(&reader{file: file}, data)
}

// ParsePayload is Parse for the text of a task: a workflow that a server has cut
// down to one job. What the server has already dealt with may be missing or
// name what is no longer there: runs-on, needs, on. file is a name for messages; ""
// is "workflow".
func ParsePayload(file string, data []byte) (*Workflow, error) {
	return parse(&reader{file: cmp.Or(file, "workflow"), payload: true}, data)
}

func parse(r *reader, data []byte) (*Workflow, error) {
	root, err := r.document(data)
	if err != nil {
		return nil, err
	}
	r.lines = strings.Split(string(data), "\n")
	w := r.workflow(root)
	if err := r.err(); err != nil {
		return nil, err
	}
	sortProblems(r.warnings)
	w.Warnings = r.warnings
	return w, nil
}

// document gives the root of the only document.
func (r *reader) document(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && (doc.Kind == 0 || len(doc.Content) == 0):
		return nil, r.fatal(Pos{}, "the file is empty: expected a workflow with jobs")
	case err != nil:
		return nil, r.notYAML(err)
	}
	root := r.deref(doc.Content[0])
	if isNull(root) {
		return nil, r.fatal(Pos{}, "the file is empty: expected a workflow with jobs")
	}
	if root.Kind != yaml.MappingNode {
		return nil, r.fatal(posOf(root), "expected a workflow (a mapping with jobs), found %s", describe(root))
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, r.fatal(posOf(&more), "expected one YAML document, found a second one")
	case !errors.Is(err, io.EOF):
		return nil, r.notYAML(err)
	}
	return root, nil
}

func (r *reader) notYAML(err error) error {
	var le *yaml.LoadError
	if errors.As(err, &le) && le.Mark.Line > 0 {
		msg := le.Message
		if strings.Contains(msg, "cannot start any token") {
			msg += " (a tab may not indent; use spaces)"
		}
		return r.fatal(Pos{le.Mark.Line, max(le.Mark.Column, 1)}, "not valid YAML: %s", msg)
	}
	return r.fatal(Pos{}, "not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
}

func (r *reader) fatal(p Pos, format string, args ...any) error {
	return Errors{{File: r.file, Pos: p, Msg: fmt.Sprintf(format, args...)}}
}

func (r *reader) workflow(root *yaml.Node) *Workflow {
	w := &Workflow{File: r.file}
	var hasOn, hasJobs bool
	on := func(n *yaml.Node, path string) {
		if hasOn {
			r.errorf(n, "on: given twice, once as `true`, which is what `on` is to an old YAML reader")
			return
		}
		hasOn = true
		w.On = r.on(n)
	}
	r.read(root, "", fields{
		"name":        r.literal(&w.Name),
		"run-name":    r.into(&w.RunName, "run-name"),
		"on":          on,
		"true":        on, // `on:` as YAML 1.1 writes it back
		"env":         r.vars(&w.Env, "env"),
		"defaults":    r.defaults(&w.Defaults, "defaults.run"),
		"permissions": func(n *yaml.Node, p string) { w.Permissions = r.permissions(n, p) },
		"concurrency": func(n *yaml.Node, p string) { w.Concurrency = r.concurrency(n, p, "concurrency") },
		"jobs": func(n *yaml.Node, p string) {
			hasJobs = true
			w.Jobs = r.jobs(n)
		},
	})
	switch {
	case !hasJobs:
		r.errorf(root, "the workflow has no jobs: the key \"jobs\" is missing")
	case !hasOn && !r.payload:
		r.errorf(root, "the workflow does not say when it runs: the key \"on\" is missing")
	}
	return w
}

func (r *reader) defaults(dst *Defaults, key string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		r.read(n, path, fields{"run": func(n *yaml.Node, path string) {
			r.read(n, path, fields{
				"shell":             r.into(&dst.Shell, key),
				"working-directory": r.into(&dst.WorkingDirectory, key),
			})
		}})
	}
}

func (r *reader) permissions(n *yaml.Node, path string) Permissions {
	d := r.deref(n)
	if d != nil && d.Kind == yaml.ScalarNode && !isNull(d) {
		if d.Value != "read-all" && d.Value != "write-all" {
			r.errorf(n, "%s: expected read-all, write-all or a mapping of scopes, found %s", path, describe(d))
		}
		return Permissions{All: d.Value}
	}
	p := Permissions{Scopes: map[string]string{}}
	for _, e := range r.mapping(n, path) {
		v := r.text(e.val, join(path, e.key))
		if v != "read" && v != "write" && v != "none" && v != "" {
			r.warnf(e.val, "%s.%s: expected read, write or none, found %q", path, e.key, v)
		}
		p.Scopes[e.key] = v
	}
	return p
}

func (r *reader) concurrency(n *yaml.Node, path, key string) *Concurrency {
	c := &Concurrency{}
	if d := r.deref(n); d != nil && d.Kind == yaml.ScalarNode {
		r.into(&c.Group, key)(n, path)
		return c
	}
	r.read(n, path, fields{
		"group":              r.into(&c.Group, key),
		"cancel-in-progress": r.boolean(&c.CancelInProgress, key),
		"queue":              r.into(&c.Queue, key),
	})
	return c
}

// wholeExpr reports whether a node is a text with an expression, which may
// stand for a mapping or a list.
func (r *reader) wholeExpr(n *yaml.Node) (string, bool) {
	d := r.deref(n)
	if d == nil || d.Kind != yaml.ScalarNode || !expr.HasExpression(d.Value) {
		return "", false
	}
	return d.Value, true
}
