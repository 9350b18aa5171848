package workflow

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow/expr"
)

// container reads `container` or one service; key is its availability key
// without ".image", ".credentials" and so on.
func (r *reader) container(n *yaml.Node, path, key string) *Container {
	d := r.deref(n)
	if isNull(d) {
		return nil
	}
	c := &Container{Pos: posOf(n)}
	if d.Kind == yaml.ScalarNode {
		r.check(n, path, baseKey(key))
		if _, whole := expr.Whole(d.Value); whole {
			c.Expr = d.Value
		} else {
			c.Image = d.Value
		}
		return c
	}
	r.read(n, path, fields{
		"image":       r.into(&c.Image, baseKey(key)),
		"env":         r.vars(&c.Env, key+".env.<env_id>"),
		"options":     r.into(&c.Options, baseKey(key)),
		"command":     r.into(&c.Command, baseKey(key)),
		"entrypoint":  r.into(&c.Entrypoint, baseKey(key)),
		"ports":       func(n *yaml.Node, p string) { c.Ports = r.labels(n, p, baseKey(key)) },
		"volumes":     func(n *yaml.Node, p string) { c.Volumes = r.labels(n, p, baseKey(key)) },
		"credentials": func(n *yaml.Node, p string) { c.Credentials = r.credentials(n, p, key+".credentials") },
	}, "image")
	return c
}

// baseKey is the availability key of a container's plain fields.
func baseKey(key string) string {
	if key == serviceKey {
		return "jobs.<job_id>.services"
	}
	return key
}

const serviceKey = "jobs.<job_id>.services.<service_id>"

func (r *reader) credentials(n *yaml.Node, path, key string) *Credentials {
	c := &Credentials{}
	r.read(n, path, fields{
		"username": r.into(&c.Username, key),
		"password": r.into(&c.Password, key),
	})
	return c
}

func (r *reader) services(n *yaml.Node, path string) Services {
	s := Services{Pos: posOf(n)}
	if text, ok := r.wholeExpr(n); ok {
		s.Expr = text
		r.check(n, path, "jobs.<job_id>.services")
		return s
	}
	for _, e := range r.mapping(n, path) {
		p := join(path, e.key)
		r.identifier(e.at, p, "the service's id", e.key)
		if c := r.container(e.val, p, serviceKey); c != nil {
			s.List = append(s.List, Service{e.key, *c})
		}
	}
	return s
}

// ContainerFrom makes a container of the value of its whole expression: a
// string (the image) or an object with the keys of the long form. nil, with no
// error, means that there is no container (null or an empty string). The texts
// in the result are final: they hold no expressions to evaluate.
func ContainerFrom(value any) (*Container, error) {
	if s, ok := value.(string); ok || value == nil {
		if s == "" {
			return nil, nil
		}
		return &Container{Image: s}, nil
	}
	all, ok := expr.Entries(value)
	if !ok {
		return nil, fmt.Errorf("container: expected an image or an object with image, found %s", expr.KindOf(value))
	}
	c := &Container{}
	for k, v := range all {
		switch k {
		case "image":
			c.Image = expr.Text(v)
		case "options":
			c.Options = expr.Text(v)
		case "command":
			c.Command = expr.Text(v)
		case "entrypoint":
			c.Entrypoint = expr.Text(v)
		case "ports":
			c.Ports = textList(v)
		case "volumes":
			c.Volumes = textList(v)
		case "env":
			c.Env = varsFrom(v)
		case "credentials":
			cred := varsFrom(v)
			c.Credentials = &Credentials{}
			c.Credentials.Username, _ = cred.Get("username")
			c.Credentials.Password, _ = cred.Get("password")
		}
	}
	if c.Image == "" {
		return nil, nil
	}
	return c, nil
}

// ServicesFrom makes services of the value of their whole expression: an object
// of containers by id. Services without an image are left out, as on GitHub.
func ServicesFrom(value any) ([]Service, error) {
	if value == nil || value == "" {
		return nil, nil
	}
	all, ok := expr.Entries(value)
	if !ok {
		return nil, fmt.Errorf("services: expected an object of services by id, found %s", expr.KindOf(value))
	}
	var list []Service
	for id, v := range all {
		c, err := ContainerFrom(v)
		if err != nil {
			return nil, fmt.Errorf("services.%s: %w", id, err)
		}
		if c != nil {
			list = append(list, Service{id, *c})
		}
	}
	return list, nil
}

func textList(x any) []string {
	items, ok := x.([]any)
	if !ok {
		return []string{expr.Text(x)}
	}
	list := make([]string, len(items))
	for i, v := range items {
		list[i] = expr.Text(v)
	}
	return list
}

func varsFrom(x any) Vars {
	var v Vars
	all, _ := expr.Entries(x)
	for name, val := range all {
		v.List = append(v.List, Var{Name: name, Value: expr.Text(val), Kind: expr.KindOf(val)})
	}
	return v
}
