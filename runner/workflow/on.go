package workflow

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (r *reader) on(n *yaml.Node) On {
	on := On{Pos: posOf(n)}
	d := r.deref(n)
	switch {
	case isNull(d):
		if !r.payload {
			r.errorf(n, "on: expected an event, a list of events or a mapping, found nothing")
		}
	case d.Kind == yaml.ScalarNode:
		r.event(&on, d.Value, n, nil)
	case d.Kind == yaml.SequenceNode:
		for i, c := range d.Content {
			r.event(&on, r.text(c, fmt.Sprintf("on[%d]", i)), c, nil)
		}
	default:
		for _, e := range r.mapping(n, "on") {
			r.event(&on, e.key, e.at, e.val)
		}
	}
	return on
}

func (r *reader) event(on *On, name string, at, conf *yaml.Node) {
	e := Event{Name: name, Pos: posOf(at)}
	switch name {
	case "":
		r.errorf(at, "on: expected the name of an event, found nothing")
		return
	case "workflow_dispatch":
		on.Dispatch = r.dispatch(conf)
	case "workflow_call":
		on.Call = r.call(conf)
	default:
		if conf != nil {
			e.Filter = r.plain(conf, "on."+name)
		}
	}
	on.Events = append(on.Events, e)
}

func (r *reader) dispatch(n *yaml.Node) *Dispatch {
	d := &Dispatch{}
	r.read(n, "on.workflow_dispatch", fields{
		"inputs": func(n *yaml.Node, p string) {
			d.Inputs = r.inputs(n, p, []string{"string", "boolean", "number", "choice", "environment"}, "")
		},
	})
	return d
}

func (r *reader) call(n *yaml.Node) *Call {
	c := &Call{}
	r.read(n, "on.workflow_call", fields{
		"inputs": func(n *yaml.Node, p string) {
			c.Inputs = r.inputs(n, p, []string{"string", "boolean", "number"}, "on.workflow_call.inputs.<inputs_id>.default")
		},
		"secrets": func(n *yaml.Node, p string) {
			for _, e := range r.mapping(n, p) {
				s := Secret{Name: e.key, Pos: posOf(e.at)}
				r.read(e.val, join(p, e.key), fields{
					"description": r.literal(&s.Description),
					"required":    r.yes(&s.Required),
				})
				c.Secrets = append(c.Secrets, s)
			}
		},
		"outputs": func(n *yaml.Node, p string) {
			for _, e := range r.mapping(n, p) {
				o := Output{Name: e.key, Pos: posOf(e.at)}
				r.read(e.val, join(p, e.key), fields{
					"description": r.literal(&o.Description),
					"value":       r.into(&o.Value, "on.workflow_call.outputs.<output_id>.value"),
				}, "value")
				c.Outputs = append(c.Outputs, o)
			}
		},
	})
	return c
}

// yes stores a plain true or false.
func (r *reader) yes(dst *bool) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		switch s := strings.ToLower(r.text(n, path)); s {
		case "true":
			*dst = true
		case "false", "":
		default:
			r.errorf(n, "%s: expected true or false, found %q", path, s)
		}
	}
}

func (r *reader) inputs(n *yaml.Node, path string, types []string, defaultKey string) []Input {
	var list []Input
	for _, e := range r.mapping(n, path) {
		list = append(list, r.input(e, join(path, e.key), types, defaultKey))
	}
	return list
}

func (r *reader) input(e entry, path string, types []string, defaultKey string) Input {
	in := Input{Name: e.key, Type: "string", Pos: posOf(e.at)}
	var typeNode, defaultNode *yaml.Node
	r.read(e.val, path, fields{
		"description":        r.literal(&in.Description),
		"deprecationMessage": r.literal(&in.Deprecation),
		"required":           r.yes(&in.Required),
		"type":               func(n *yaml.Node, p string) { typeNode, in.Type = n, r.text(n, p) },
		"options":            func(n *yaml.Node, p string) { in.Options = r.texts(n, p) },
		"default": func(n *yaml.Node, p string) {
			defaultNode, in.Default = n, r.plain(n, p)
			r.check(n, p, defaultKey)
		},
	})
	if !slices.Contains(types, in.Type) {
		r.errorf(typeNode, "%s.type: expected one of %s, found %q", path, strings.Join(types, ", "), in.Type)
		return in
	}
	if in.Type == "choice" && len(in.Options) == 0 && !r.payload {
		r.errorf(e.at, "%s: an input of type choice needs options", path)
	}
	if _, err := in.convert(in.Default); err != nil && in.Default != nil {
		r.errorf(defaultNode, "%s.default: %s", path, err)
	}
	return in
}
