package workflow

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"otelrunner/runner/workflow/expr"
)

// convert brings a value, typed or as text, to the type of the input.
func (in Input) convert(v any) (any, error) {
	if s, ok := v.(string); ok && expr.HasExpression(s) {
		return v, nil
	}
	switch in.Type {
	case "boolean":
		switch strings.ToLower(expr.Text(v)) {
		case "true":
			return true, nil
		case "false", "":
			return false, nil
		}
		return nil, fmt.Errorf("expected true or false, found %q", expr.Text(v))
	case "number":
		if f := expr.Number(v); !math.IsNaN(f) {
			return f, nil
		}
		return nil, fmt.Errorf("expected a number, found %q", expr.Text(v))
	}
	switch expr.KindOf(v) {
	case "Array", "Object":
		return nil, fmt.Errorf("expected a text, found %s", expr.KindOf(v))
	}
	return expr.Text(v), nil
}

// InputValues makes the inputs context of a run: every declared input, in its
// type, from what the event or the caller gave (texts or typed values), else
// from its default, else false, 0 or "". eval evaluates a default that holds an
// expression; nil leaves such a default as it is. Names are compared without
// case; what was given and not declared is left out. The error names the input
// whose value does not fit its type.
func InputValues(declared []Input, given map[string]any, eval func(text string) (any, error)) (map[string]any, error) {
	out := make(map[string]any, len(declared))
	for _, in := range declared {
		v, ok := givenInput(given, in.Name)
		if !ok {
			v = in.Default
			if s, text := v.(string); text && eval != nil && expr.HasExpression(s) {
				var err error
				if v, err = eval(s); err != nil {
					return nil, fmt.Errorf("the default of input %q: %w", in.Name, err)
				}
			}
		}
		if v == nil {
			out[in.Name] = in.zero()
			continue
		}
		typed, err := in.convert(v)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		out[in.Name] = typed
	}
	return out, nil
}

func (in Input) zero() any {
	switch in.Type {
	case "boolean":
		return false
	case "number":
		return 0.0
	}
	return ""
}

func givenInput(given map[string]any, name string) (any, bool) {
	if v, ok := given[name]; ok {
		return v, v != nil
	}
	for k, v := range given {
		if equalFold(k, name) {
			return v, v != nil
		}
	}
	return nil, false
}

// CheckInputs reports, one sentence a line, what a person who starts a workflow
// by hand got wrong: names that are not declared, required inputs that are
// missing, choices that are none.
func CheckInputs(declared []Input, given map[string]any) error {
	var problems []string
	names := make([]string, len(declared))
	for i, in := range declared {
		names[i] = in.Name
		v, ok := givenInput(given, in.Name)
		switch {
		case !ok && in.Required && in.Default == nil:
			problems = append(problems, fmt.Sprintf("input %q is required and was not given", in.Name))
		case ok && in.Type == "choice" && !slices.Contains(in.Options, expr.Text(v)):
			problems = append(problems, fmt.Sprintf("input %q: expected one of %s, found %q", in.Name, strings.Join(in.Options, ", "), expr.Text(v)))
		}
	}
	for k := range given {
		if !slices.ContainsFunc(names, func(n string) bool { return equalFold(n, k) }) {
			msg := fmt.Sprintf("the workflow has no input %q", k)
			if near := expr.Nearest(k, names); near != "" {
				msg += fmt.Sprintf("; did you mean %q?", near)
			}
			problems = append(problems, msg)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return fmt.Errorf("%s", strings.Join(problems, "\n"))
}
