package workflow

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow/expr"
)

const strategyKey = "jobs.<job_id>.strategy"

func (r *reader) strategy(n *yaml.Node, path string) *Strategy {
	if isNull(r.deref(n)) {
		return nil
	}
	s := &Strategy{Pos: posOf(n)}
	r.read(n, path, fields{
		"fail-fast":    r.boolean(&s.FailFast, strategyKey),
		"max-parallel": r.number(&s.MaxParallel, strategyKey),
		"matrix":       func(n *yaml.Node, p string) { s.Matrix = r.matrix(n, p) },
	})
	return s
}

func (r *reader) matrix(n *yaml.Node, path string) *Matrix {
	if isNull(r.deref(n)) {
		return nil
	}
	m := &Matrix{Pos: posOf(n)}
	if text, ok := r.wholeExpr(n); ok {
		m.Expr = text
		r.check(n, path, strategyKey)
		return m
	}
	for _, e := range r.mapping(n, path) {
		p := join(path, e.key)
		items := r.matrixItems(e.val, p)
		switch e.key {
		case "include":
			m.Include = r.objects(items, e.val, p)
		case "exclude":
			m.Exclude = r.objects(items, e.val, p)
		default:
			if d := r.deref(e.val); isNull(d) || d.Kind == yaml.SequenceNode && len(d.Content) == 0 {
				r.errorf(e.at, "%s: expected at least one value, found none", p)
			}
			m.Dimensions = append(m.Dimensions, Dimension{e.key, items})
		}
	}
	return m
}

func (r *reader) matrixItems(n *yaml.Node, path string) Items {
	items := Items{Pos: posOf(n)}
	if text, ok := r.wholeExpr(n); ok {
		items.Expr = text
		r.check(n, path, strategyKey)
		return items
	}
	d := r.deref(n)
	if isNull(d) {
		return items
	}
	if d.Kind != yaml.SequenceNode {
		r.errorf(n, "%s: expected a list or an expression, found %s", path, describe(d))
		return items
	}
	items.Values, _ = r.plain(n, path).([]any)
	r.checkAll(n, path, 0)
	return items
}

// checkAll checks the expressions of all texts within a node.
func (r *reader) checkAll(n *yaml.Node, path string, depth int) {
	d := r.deref(n)
	if d == nil || depth > maxDepth || r.full {
		return
	}
	for _, c := range d.Content {
		r.checkAll(c, path, depth+1)
	}
	r.check(n, path, strategyKey)
}

func (r *reader) objects(items Items, n *yaml.Node, path string) Items {
	nodes := r.items(n)
	for i, v := range items.Values {
		if _, ok := v.(*expr.Object); ok {
			continue
		}
		if s, ok := v.(string); ok && expr.HasExpression(s) {
			continue
		}
		r.errorf(nodes[min(i, len(nodes)-1)], "%s: expected a mapping of matrix keys to values, found %s",
			fmt.Sprintf("%s[%d]", path, i), expr.KindOf(v))
	}
	return items
}
