package expr

import (
	"math"
	"strings"
)

// function is one function of the language.
type function struct {
	name     string
	usage    string
	min, max int  // parameters
	odd      bool // the number of parameters must be odd
	needs    bool // the context must provide it
	status   bool // its presence in an `if:` replaces the implied success()
	// call computes n, a call of this function, and how much its result needs.
	call func(e *evaluator, n *node) (value, int, error)
}

const anyNumber = math.MaxInt32

var functions = map[string]*function{
	"contains":   {name: "contains", usage: "contains(search, item)", min: 2, max: 2, call: callContains},
	"startswith": {name: "startsWith", usage: "startsWith(text, start)", min: 2, max: 2, call: textTest(hasPrefixFold)},
	"endswith":   {name: "endsWith", usage: "endsWith(text, end)", min: 2, max: 2, call: textTest(hasSuffixFold)},
	"format":     {name: "format", usage: "format('{0} {1}', a, b)", min: 1, max: 255, call: callFormat},
	"join":       {name: "join", usage: "join(list, ', ')", min: 1, max: 2, call: callJoin},
	"tojson":     {name: "toJSON", usage: "toJSON(value)", min: 1, max: 1, call: callToJSON},
	"fromjson":   {name: "fromJSON", usage: "fromJSON(text)", min: 1, max: 1, call: callFromJSON},
	"case":       {name: "case", usage: "case(condition, value, …, otherwise)", min: 3, max: anyNumber, odd: true, call: callCase},
	"hashfiles":  {name: "hashFiles", usage: "hashFiles('**/go.sum')", min: 1, max: 255, needs: true, call: callHashFiles},
	"always":     {name: "always", usage: "always()", needs: true, status: true, call: callStatus},
	"success":    {name: "success", usage: "success()", needs: true, status: true, call: callStatus},
	"failure":    {name: "failure", usage: "failure()", needs: true, status: true, call: callStatus},
	"cancelled":  {name: "cancelled", usage: "cancelled()", needs: true, status: true, call: callStatus},
}

// lookupFunction finds a function without regard to case; nil when there is
// none.
func lookupFunction(name string) *function { return functions[strings.ToLower(name)] }

// plainFunctions names the functions that are there everywhere.
func plainFunctions() []string {
	var names []string
	for _, f := range functions {
		if !f.needs {
			names = append(names, f.name)
		}
	}
	return names
}

func stringResult(s string) (value, int, error) { return stringValue(s), sizeOfString(s), nil }
func boolResult(b bool) (value, int, error)     { return boolValue(b), smallSize, nil }

func callStatus(e *evaluator, n *node) (value, int, error) {
	switch n.fn.name {
	case "success":
		return boolResult(e.c.Success())
	case "failure":
		return boolResult(e.c.Failure())
	case "cancelled":
		return boolResult(e.c.Cancelled())
	}
	return boolResult(true)
}

// textTest makes a function of two texts; a list or an object gives false.
func textTest(test func(a, b string) bool) func(*evaluator, *node) (value, int, error) {
	return func(e *evaluator, n *node) (value, int, error) {
		a, err := e.eval(n.kids[0])
		if err != nil || !a.primitive() {
			return boolValue(false), smallSize, err
		}
		b, err := e.eval(n.kids[1])
		if err != nil || !b.primitive() {
			return boolValue(false), smallSize, err
		}
		return boolResult(test(a.text(), b.text()))
	}
}

func callContains(e *evaluator, n *node) (value, int, error) {
	in, err := e.eval(n.kids[0])
	if err != nil || in.kind == kindObject {
		return boolValue(false), smallSize, err
	}
	what, err := e.eval(n.kids[1])
	if err != nil {
		return value{}, 0, err
	}
	if in.primitive() {
		return boolResult(what.primitive() && containsFold(in.text(), what.text()))
	}
	for i := range in.arr.items {
		if equal(what, item(in.arr, i)) {
			return boolResult(true)
		}
	}
	return boolResult(false)
}

func callJoin(e *evaluator, n *node) (value, int, error) {
	list, err := e.eval(n.kids[0])
	switch {
	case err != nil:
		return value{}, 0, err
	case list.primitive():
		return stringResult(list.text())
	case list.kind == kindObject || len(list.arr.items) == 0:
		return stringResult("")
	}
	sep := ","
	if len(n.kids) > 1 && len(list.arr.items) > 1 {
		s, err := e.eval(n.kids[1])
		if err != nil {
			return value{}, 0, err
		}
		if s.primitive() {
			sep = s.text()
		}
	}
	b := e.builder(n)
	for i, x := range list.arr.items {
		if i > 0 {
			b.put(sep)
		}
		if err := b.add(toValue(x).text()); err != nil {
			return value{}, 0, err
		}
	}
	return stringResult(b.String())
}

func callCase(e *evaluator, n *node) (value, int, error) {
	last := len(n.kids) - 1
	pick := func(k *node) (value, int, error) {
		mark := e.live
		v, err := e.eval(k)
		return v, e.live - mark, err
	}
	for i := 0; i < last; i += 2 {
		cond, err := e.eval(n.kids[i])
		if err != nil {
			return value{}, 0, err
		}
		if cond.kind != kindBoolean {
			return value{}, 0, e.fail(n.kids[i], "The predicate of case must evaluate to a boolean value",
				"It is of type "+cond.kind.String()+"; compare it, or write !!( ) around it", nil)
		}
		if cond.num != 0 {
			return pick(n.kids[i+1])
		}
	}
	return pick(n.kids[last])
}

func callHashFiles(e *evaluator, n *node) (value, int, error) {
	patterns := make([]string, len(n.kids))
	for i, k := range n.kids {
		v, err := e.eval(k)
		if err != nil {
			return value{}, 0, err
		}
		patterns[i] = v.text()
	}
	sum, err := e.c.HashFiles(patterns)
	if err != nil {
		return value{}, 0, e.fail(n, "hashFiles("+quoteList(patterns)+") failed: "+err.Error(), "", err)
	}
	return stringResult(sum)
}

func quoteList(list []string) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("'" + strings.ReplaceAll(s, "'", "''") + "'")
	}
	return b.String()
}

// builder makes a string that never outgrows the evaluation's bound.
type builder struct {
	strings.Builder
	e    *evaluator
	n    *node
	size int
	err  error
}

func (e *evaluator) builder(n *node) *builder { return &builder{e: e, n: n, size: stringHeader} }

// put appends s, unless there is an error already; err then says so.
func (b *builder) put(s string) {
	if b.err != nil {
		return
	}
	b.size += sizeOfString(s) - stringHeader
	if b.e.live+b.size > b.e.limit {
		b.err = b.e.tooLarge(b.n)
		return
	}
	b.WriteString(s)
}

// add is put, with the error.
func (b *builder) add(s string) error {
	b.put(s)
	return b.err
}
