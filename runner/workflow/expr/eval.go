package expr

import (
	"fmt"
	"unicode/utf8"
)

// evaluator computes one expression within a bound of memory.
type evaluator struct {
	c     *Context
	src   string
	limit int // bytes
	live  int // bytes of the results that are still needed
}

// Sizes are those of GitHub's runner: a string has two bytes a character and a
// header, everything else a small constant.
const (
	stringHeader = 26
	smallSize    = 24
	pointerSize  = 8
)

func sizeOfString(s string) int { return stringHeader + 2*utf8.RuneCountInString(s) }

func sizeOf(v value) int {
	if v.kind == kindString {
		return sizeOfString(v.str)
	}
	return smallSize
}

// eval computes n. What its operands needed is given back; what its result
// needs is counted until the operation above is done.
func (e *evaluator) eval(n *node) (value, error) {
	mark := e.live
	v, size, err := e.compute(n)
	if err != nil {
		return value{}, err
	}
	e.live = mark
	return v, e.add(n, size)
}

func (e *evaluator) add(n *node, size int) error {
	e.live += size
	if e.live > e.limit {
		return e.tooLarge(n)
	}
	return nil
}

func (e *evaluator) tooLarge(n *node) error {
	return e.fail(n, "The maximum allowed memory size was exceeded",
		fmt.Sprintf("An expression may need at most %d bytes", e.limit), nil)
}

func (e *evaluator) fail(n *node, msg, hint string, cause error) error {
	return &Error{Kind: Evaluation, Pos: n.pos, Expr: e.src, Msg: msg, Hint: hint, Err: cause}
}

func (e *evaluator) compute(n *node) (value, int, error) {
	switch n.op {
	case opLiteral:
		return n.val, sizeOf(n.val), nil
	case opName:
		x, _ := lookupMap(e.c.Values, n.name)
		v := toValue(x)
		if v.kind == kindArray {
			v.arr.from = origin{nil, fold(n.name)}
		}
		return v, sizeOf(v), nil
	case opCall:
		return n.fn.call(e, n)
	case opIndex:
		return e.index(n)
	case opStar:
		return e.star(n)
	case opNot:
		v, err := e.eval(n.kids[0])
		return boolValue(!v.truthy()), smallSize, err
	case opAnd, opOr:
		return e.logic(n)
	}
	return e.comparison(n)
}

// logic gives the value that decided, not a boolean.
func (e *evaluator) logic(n *node) (value, int, error) {
	mark := e.live
	var v value
	for _, k := range n.kids {
		var err error
		e.live = mark
		if v, err = e.eval(k); err != nil {
			return v, 0, err
		}
		if v.truthy() == (n.op == opOr) {
			break
		}
	}
	return v, e.live - mark, nil
}

func (e *evaluator) comparison(n *node) (value, int, error) {
	a, err := e.eval(n.kids[0])
	if err != nil {
		return a, 0, err
	}
	b, err := e.eval(n.kids[1])
	if err != nil {
		return b, 0, err
	}
	var r bool
	switch n.op {
	case opEq:
		r = equal(a, b)
	case opNe:
		r = !equal(a, b)
	case opLt:
		r = less(a, b)
	case opLe:
		r = equal(a, b) || less(a, b)
	case opGt:
		r = greater(a, b)
	case opGe:
		r = equal(a, b) || greater(a, b)
	}
	return boolValue(r), smallSize, nil
}

func (e *evaluator) index(n *node) (value, int, error) {
	of, err := e.eval(n.kids[0])
	if err != nil || of.primitive() {
		return value{}, smallSize, err
	}
	key, err := e.eval(n.kids[1])
	if err != nil {
		return value{}, 0, err
	}
	if of.kind == kindArray && of.arr.filtered {
		items, err := e.filter(n, of.arr.items, key)
		return filteredValue(items), arraySize(items), err
	}
	v, _ := child(of, key)
	return v, sizeOf(v), nil
}

// child looks one key up in an object or a list.
func child(of, key value) (value, bool) {
	if of.kind == kindObject {
		if !key.primitive() {
			return value{}, false
		}
		name := key.text()
		x, ok := lookup(of.obj, name)
		if !ok {
			return value{}, false
		}
		v := toValue(x)
		if v.kind == kindArray {
			v.arr.from = origin{identity(of.obj), fold(name)}
		}
		return v, true
	}
	i := indexOf(key, len(of.arr.items))
	if i < 0 {
		return value{}, false
	}
	return item(of.arr, i), true
}

// item is the ith value of a list.
func item(a *array, i int) value {
	v := toValue(a.items[i])
	if v.kind == kindArray {
		v.arr.from = origin{&a.items[0], formatNumber(float64(i))}
	}
	return v
}

// filter applies a key to every item of a filtered array; items that have no
// such key drop out.
func (e *evaluator) filter(n *node, of []any, key value) ([]any, error) {
	out := []any{}
	for _, x := range of {
		v := toValue(x)
		if v.primitive() {
			continue
		}
		if c, ok := child(v, key); ok {
			out = append(out, c.toGo())
		}
		if e.live+arraySize(out) > e.limit {
			return nil, e.tooLarge(n)
		}
	}
	return out, nil
}

// star makes a filtered array of the items of a list, the values of an object,
// or both of every item of a filtered array.
func (e *evaluator) star(n *node) (value, int, error) {
	of, err := e.eval(n.kids[0])
	if err != nil {
		return of, 0, err
	}
	out := []any{}
	if of.kind != kindArray || !of.arr.filtered {
		out, err = e.spread(n, out, of)
		return filteredValue(out), arraySize(out), err
	}
	for _, x := range of.arr.items {
		if out, err = e.spread(n, out, toValue(x)); err != nil {
			return value{}, 0, err
		}
	}
	return filteredValue(out), arraySize(out), nil
}

func (e *evaluator) spread(n *node, out []any, of value) ([]any, error) {
	switch of.kind {
	case kindArray:
		out = append(out, of.arr.items...)
	case kindObject:
		for _, x := range entries(of.obj) {
			out = append(out, x)
		}
	}
	if e.live+arraySize(out) > e.limit {
		return nil, e.tooLarge(n)
	}
	return out, nil
}

func arraySize(items []any) int { return smallSize + pointerSize*len(items) }
