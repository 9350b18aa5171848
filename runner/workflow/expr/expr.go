// Package expr is the expression language of workflow files: what stands in
// ${{ }} and in `if:`. It parses and evaluates; it does no I/O (hashFiles and
// the status functions are given to it) and keeps no state. All functions may
// be called concurrently as long as nobody writes the context's values.
//
// The rules are GitHub's: the coercions, the order of evaluation, the limits on
// length, depth and memory, and the wording of the errors.
package expr

import "sort"

// The bounds on what the results of one evaluation may need, in bytes with two
// a character, as GitHub's runner counts.
const (
	// ExpressionMemory is the default bound of Eval.
	ExpressionMemory = 1 << 20
	// TemplateMemory is the default bound of Interpolate, EvalText and
	// Condition.
	TemplateMemory = 10 << 20
)

// Context is what an expression may use. The zero value has no context and none
// of the functions that need one.
type Context struct {
	// Values has the contexts ("github", "env", …) by name; an expression
	// finds them without regard to case. Values may be nil, bool, float64 (or
	// any Go number), string, []any, []string, map[string]any,
	// map[string]string, *Object and CaseSensitive, nested at will.
	Values map[string]any

	// Success, Failure and Cancelled are the status functions; with Success
	// set, always() is there too. A nil one is an error where it is called.
	Success, Failure, Cancelled func() bool

	// HashFiles computes hashFiles(); nil makes calling it an error.
	HashFiles func(patterns []string) (string, error)

	// Allow restricts the contexts and functions to those that may be used at
	// one key of a workflow; nil allows everything that is set. A context
	// that is allowed and not set is null.
	Allow *Allow

	// MaxMemory bounds the results of one evaluation in bytes; 0 means the
	// default of the function that is called.
	MaxMemory int

	// Misplaced, if set, is told each time that an expression is read which
	// names what Allow only tolerates.
	Misplaced func(name string)
}

// Allow says what the expressions at one key of a workflow may use. It is
// read-only once in use.
type Allow struct {
	// Key is the key as GitHub's documentation writes it, for messages:
	// "jobs.<job_id>.steps.if".
	Key string
	// Contexts are names in lower case.
	Contexts []string
	// Functions are those of "success", "failure", "cancelled", "always" and
	// "hashFiles" that may be called; the others always may.
	Functions []string
	// Tolerated are contexts and functions that GitHub refuses at this key and
	// other runners take. They may be used, a context without a value is null,
	// and Misplaced tells of them. They are not named in messages.
	Tolerated []string
}

// Eval evaluates one expression, written without ${{ }}. An empty one is null.
// The result is nil, bool, float64, string, []any, or an object in the form it
// was given in (fromJSON gives *Object). Errors are *Error.
func Eval(src string, c *Context) (any, error) {
	n, err := parse(src, c)
	if err != nil || n == nil {
		return nil, err
	}
	v, err := run(n, src, c, ExpressionMemory)
	if err != nil {
		return nil, err
	}
	return v.toGo(), nil
}

// Check reports what is wrong with an expression before any value is known:
// its syntax, and names that a does not allow. An empty expression is fine.
func Check(src string, a *Allow) error {
	_, err := parse(src, allowScope{a: a})
	return err
}

func run(n *node, src string, c *Context, limit int) (value, error) {
	if c.MaxMemory > 0 {
		limit = c.MaxMemory
	}
	e := &evaluator{c: c, src: src, limit: limit}
	return e.eval(n)
}

func (c *Context) context(name string) bool {
	if c.Allow != nil {
		return c.Allow.context(name) || c.tolerates(name)
	}
	_, ok := lookupMap(c.Values, name)
	return ok
}

func (c *Context) function(name string) bool {
	if !c.isSet(name) {
		return false
	}
	return c.Allow == nil || c.Allow.function(name) || c.tolerates(name)
}

// isSet reports whether there is what the function needs.
func (c *Context) isSet(function string) bool {
	switch function {
	case "success", "always":
		return c.Success != nil
	case "failure":
		return c.Failure != nil
	case "cancelled":
		return c.Cancelled != nil
	}
	return c.HashFiles != nil
}

func (c *Context) tolerates(name string) bool {
	ok := hasFold(c.Allow.Tolerated, name)
	if ok && c.Misplaced != nil {
		c.Misplaced(name)
	}
	return ok
}

func (c *Context) contexts() []string {
	if c.Allow != nil {
		return append([]string(nil), c.Allow.Contexts...)
	}
	names := make([]string, 0, len(c.Values))
	for k := range c.Values {
		names = append(names, k)
	}
	sort.Strings(names)
	return names
}

func (c *Context) functions() []string {
	var names []string
	for _, f := range contextFunctions {
		if c.isSet(f) && (c.Allow == nil || c.Allow.function(f)) {
			names = append(names, f)
		}
	}
	return names
}

func (c *Context) where() string {
	if c.Allow != nil {
		return c.Allow.Key
	}
	return ""
}

// contextFunctions are the functions that need something of the context.
var contextFunctions = []string{"success", "failure", "cancelled", "always", "hashFiles"}

func (a *Allow) context(name string) bool  { return hasFold(a.Contexts, name) }
func (a *Allow) function(name string) bool { return hasFold(a.Functions, name) }

func hasFold(list []string, name string) bool {
	for _, x := range list {
		if equalFold(x, name) {
			return true
		}
	}
	return false
}

// allowScope is the scope of a check without values.
type allowScope struct {
	a *Allow
	// misplaced, if set, collects what is only tolerated.
	misplaced *[]string
}

func (s allowScope) context(name string) bool  { return s.a.context(name) || s.tolerates(name) }
func (s allowScope) function(name string) bool { return s.a.function(name) || s.tolerates(name) }
func (s allowScope) contexts() []string        { return append([]string(nil), s.a.Contexts...) }
func (s allowScope) functions() []string       { return s.a.Functions }
func (s allowScope) where() string             { return s.a.Key }

func (s allowScope) tolerates(name string) bool {
	ok := hasFold(s.a.Tolerated, name)
	if ok && s.misplaced != nil && !hasFold(*s.misplaced, name) {
		*s.misplaced = append(*s.misplaced, name)
	}
	return ok
}
