package expr

import "math"

// coerce brings two values to one kind where GitHub's rules have one: a number
// and a string meet as numbers, null and booleans become numbers.
func coerce(a, b value) (value, value) {
	for a.kind != b.kind {
		switch {
		case a.kind == kindNumber && b.kind == kindString:
			b = numberValue(b.number())
		case a.kind == kindString && b.kind == kindNumber:
			a = numberValue(a.number())
		case a.kind == kindBoolean || a.kind == kindNull:
			a = numberValue(a.number())
		case b.kind == kindBoolean || b.kind == kindNull:
			b = numberValue(b.number())
		default:
			return a, b
		}
	}
	return a, b
}

func equal(a, b value) bool {
	a, b = coerce(a, b)
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case kindNull:
		return true
	case kindBoolean, kindNumber:
		return a.num == b.num // NaN equals nothing
	case kindString:
		return equalFold(a.str, b.str)
	case kindArray:
		return sameArray(a.arr, b.arr)
	}
	return sameObject(a.obj, b.obj)
}

func greater(a, b value) bool {
	a, b = coerce(a, b)
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case kindBoolean, kindNumber:
		return a.num > b.num
	case kindString:
		return compareFold(a.str, b.str) > 0
	}
	return false
}

func less(a, b value) bool {
	a, b = coerce(a, b)
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case kindBoolean, kindNumber:
		return a.num < b.num
	case kindString:
		return compareFold(a.str, b.str) < 0
	}
	return false
}

func sameArray(a, b *array) bool {
	switch {
	case a == b:
		return true
	case a.from.key != "" && a.from == b.from:
		return true
	case len(a.items) == 0 || len(a.items) != len(b.items):
		return false
	}
	return &a.items[0] == &b.items[0]
}

// indexOf gives the place in a list that a key means, or -1.
func indexOf(key value, length int) int {
	f := key.number()
	if math.IsNaN(f) || f < 0 || f >= float64(length) {
		return -1
	}
	return int(f)
}
