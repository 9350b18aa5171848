package workflow

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"otelrunner/runner/workflow/expr"
)

// Bounds of a matrix: how many jobs it may make (GitHub's), and how many
// combinations may be looked at before exclude has thinned them out.
const (
	MaxCombinations = 256
	maxProduct      = 16384
)

// Combination is one job of a matrix.
type Combination struct {
	// Values is the matrix context, or nil where there is no matrix.
	Values *expr.Object
	// Suffix is what GitHub puts behind the name of such a job: " (linux, 12)",
	// or "".
	Suffix string
}

// Expand gives the combinations of a matrix in GitHub's order: the first
// dimension varies slowest, what `include` adds comes last. eval evaluates a
// text with expressions and keeps the type of a whole one, as expr.EvalText
// does with the contexts of Availability("jobs.<job_id>.strategy"). A nil
// matrix gives one combination without values. The result is empty when
// everything is excluded. The error says which key is at fault.
func (m *Matrix) Expand(eval func(text string) (any, error)) ([]Combination, error) {
	if m == nil {
		return []Combination{{}}, nil
	}
	x := &expander{eval: eval}
	if err := x.load(m); err != nil {
		return nil, err
	}
	if err := x.product(); err != nil {
		return nil, err
	}
	if err := x.exclude(); err != nil {
		return nil, err
	}
	x.include()
	if len(x.combos) > MaxCombinations {
		return nil, fmt.Errorf("matrix: it makes %d jobs; at most %d are allowed", len(x.combos), MaxCombinations)
	}
	out := make([]Combination, len(x.combos))
	for i, c := range x.combos {
		out[i] = Combination{Values: c, Suffix: suffix(c)}
	}
	return out, nil
}

type expander struct {
	eval     func(string) (any, error)
	names    []string
	values   [][]any
	includes []*expr.Object
	excludes []*expr.Object
	combos   []*expr.Object
}

func (x *expander) load(m *Matrix) error {
	if m.Expr != "" {
		return x.loadWhole(m.Expr)
	}
	for _, d := range m.Dimensions {
		vals, err := x.items(d.Items, d.Name)
		if err != nil {
			return err
		}
		if err := x.dimension(d.Name, vals); err != nil {
			return err
		}
	}
	var err error
	if x.includes, err = x.objects(m.Include, "include"); err != nil {
		return err
	}
	if x.excludes, err = x.objects(m.Exclude, "exclude"); err != nil {
		return err
	}
	return x.notEmpty()
}

func (x *expander) notEmpty() error {
	if len(x.names) == 0 && len(x.includes) == 0 {
		return fmt.Errorf("matrix: expected at least one key with values, or include; found none")
	}
	return nil
}

// loadWhole takes the matrix from the value of one expression.
func (x *expander) loadWhole(text string) error {
	v, err := x.eval(text)
	if err != nil {
		return fmt.Errorf("matrix: %w", err)
	}
	all, ok := expr.Entries(v)
	if !ok {
		return fmt.Errorf("matrix: expected an object, the expression gave %s", found(v))
	}
	for k, v := range all {
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("matrix.%s: expected a list, the expression gave %s", k, found(v))
		}
		switch k {
		case "include":
			x.includes, err = objectsOf(list, k)
		case "exclude":
			x.excludes, err = objectsOf(list, k)
		default:
			err = x.dimension(k, list)
		}
		if err != nil {
			return err
		}
	}
	return x.notEmpty()
}

func found(v any) string {
	if k := expr.KindOf(v); k == "Array" || k == "Object" || k == "Null" {
		return k
	}
	return fmt.Sprintf("%s %q", expr.KindOf(v), expr.Text(v))
}

func (x *expander) dimension(name string, vals []any) error {
	if len(vals) == 0 {
		return fmt.Errorf("matrix.%s: the list is empty; a matrix key needs at least one value", name)
	}
	x.names = append(x.names, name)
	x.values = append(x.values, vals)
	return nil
}

func (x *expander) items(it Items, name string) ([]any, error) {
	if it.Expr == "" {
		v, err := x.resolve(it.Values)
		if err != nil {
			return nil, fmt.Errorf("matrix.%s: %w", name, err)
		}
		return v.([]any), nil
	}
	v, err := x.eval(it.Expr)
	if err != nil {
		return nil, fmt.Errorf("matrix.%s: %w", name, err)
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("matrix.%s: expected a list, the expression gave %s", name, found(v))
	}
	return list, nil
}

func (x *expander) objects(it Items, name string) ([]*expr.Object, error) {
	if it.Expr == "" && len(it.Values) == 0 {
		return nil, nil
	}
	list, err := x.items(it, name)
	if err != nil {
		return nil, err
	}
	return objectsOf(list, name)
}

func objectsOf(list []any, name string) ([]*expr.Object, error) {
	out := make([]*expr.Object, len(list))
	for i, v := range list {
		all, ok := expr.Entries(v)
		if !ok {
			return nil, fmt.Errorf("matrix.%s[%d]: expected an object, found %s", name, i, found(v))
		}
		out[i] = &expr.Object{}
		for k, val := range all {
			out[i].Set(k, val)
		}
	}
	return out, nil
}

// resolve evaluates the texts within a value.
func (x *expander) resolve(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if !expr.HasExpression(v) {
			return v, nil
		}
		return x.eval(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			var err error
			if out[i], err = x.resolve(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *expr.Object:
		out := &expr.Object{}
		for k, item := range v.All() {
			r, err := x.resolve(item)
			if err != nil {
				return nil, err
			}
			out.Set(k, r)
		}
		return out, nil
	}
	return v, nil
}

func (x *expander) product() error {
	if len(x.names) == 0 {
		return nil
	}
	total := 1
	for _, v := range x.values {
		if total *= len(v); total > maxProduct {
			return fmt.Errorf("matrix: it has more than %d combinations; at most %d jobs are allowed", maxProduct, MaxCombinations)
		}
	}
	for i := range total {
		c := &expr.Object{}
		rest := total
		at := i
		for d, name := range x.names {
			rest /= len(x.values[d])
			c.Set(name, x.values[d][at/rest])
			at %= rest
		}
		x.combos = append(x.combos, c)
	}
	return nil
}

func (x *expander) isDimension(name string) bool {
	for _, n := range x.names {
		if equalFold(n, name) {
			return true
		}
	}
	return false
}

func (x *expander) exclude() error {
	for i, e := range x.excludes {
		for k := range e.All() {
			if !x.isDimension(k) {
				hint := ""
				if near := expr.Nearest(k, x.names); near != "" {
					hint = fmt.Sprintf("; did you mean %q?", near)
				}
				return fmt.Errorf("matrix.exclude[%d]: the matrix has no key %q%s", i, k, hint)
			}
		}
		if e.Len() == 0 {
			continue
		}
		kept := x.combos[:0:0]
		for _, c := range x.combos {
			if !matches(e, c) {
				kept = append(kept, c)
			}
		}
		x.combos = kept
	}
	return nil
}

// include adds the keys of each entry to every combination of the product whose
// values it does not contradict; where there is none, it is a new combination,
// to which later entries add nothing.
func (x *expander) include() {
	base := len(x.combos)
	for _, inc := range x.includes {
		filter, extra := &expr.Object{}, &expr.Object{}
		for k, v := range inc.All() {
			if x.isDimension(k) {
				filter.Set(k, v)
			} else {
				extra.Set(k, v)
			}
		}
		added := false
		for _, c := range x.combos[:base] {
			if matches(filter, c) {
				added = true
				for k, v := range extra.All() {
					c.Set(k, v)
				}
			}
		}
		if !added {
			x.combos = append(x.combos, inc)
		}
	}
}

// matches reports whether every value of filter is that of c; objects within
// need to agree only in what filter says of them.
func matches(filter, c *expr.Object) bool {
	for k, want := range filter.All() {
		got, ok := c.Get(k)
		if !ok || !matchesValue(want, got) {
			return false
		}
	}
	return true
}

func matchesValue(want, got any) bool {
	if items, ok := want.([]any); ok {
		other, ok := got.([]any)
		if !ok || len(items) != len(other) {
			return false
		}
		for i := range items {
			if !matchesValue(items[i], other[i]) {
				return false
			}
		}
		return true
	}
	all, ok := expr.Entries(want)
	if !ok {
		return expr.Equal(want, got)
	}
	have := &expr.Object{}
	gotAll, ok := expr.Entries(got)
	if !ok {
		return false
	}
	for k, v := range gotAll {
		have.Set(k, v)
	}
	for k, v := range all {
		if g, ok := have.Get(k); !ok || !matchesValue(v, g) {
			return false
		}
	}
	return true
}

// suffix lists all values of a combination, those within lists and objects too.
func suffix(c *expr.Object) string {
	var parts []string
	var walk func(v any)
	walk = func(v any) {
		if items, ok := v.([]any); ok {
			for _, x := range items {
				walk(x)
			}
			return
		}
		if all, ok := expr.Entries(v); ok {
			for _, x := range all {
				walk(x)
			}
			return
		}
		if s := expr.Text(v); s != "" {
			parts = append(parts, s)
		}
	}
	walk(c)
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// maxName is how many characters the name of a job may have.
const maxName = 100

// DisplayName is what a job of a matrix is called. name is the evaluated `name`
// of the job ("" when it has none). A name that was written without expressions
// gets the combination's suffix, as on GitHub; one with expressions speaks for
// itself.
func (j *Job) DisplayName(name string, c Combination) string {
	if name == "" {
		name = j.ID
	}
	if !expr.HasExpression(j.Name) {
		name += c.Suffix
	}
	if utf8.RuneCountInString(name) > maxName {
		name = string([]rune(name)[:maxName-3]) + "..."
	}
	return name
}
