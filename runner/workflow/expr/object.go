package expr

import (
	"iter"
	"reflect"
	"slices"
	"sort"
)

// Object is an object that keeps the order of its keys, as fromJSON and matrix
// values need. Keys are found without regard to case. The zero value is an
// empty object, ready to use. It is not safe for use while Set is called.
type Object struct {
	keys  []string
	vals  []any
	index map[string]int // by folded key
}

// NewObject makes an object of keys and values in turn; a key that is no string
// panics.
func NewObject(pairs ...any) *Object {
	o := &Object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// Set adds a key at the end, or replaces the value (and spelling) of one that
// is there.
func (o *Object) Set(key string, val any) {
	f := fold(key)
	if i, ok := o.index[f]; ok {
		o.keys[i], o.vals[i] = key, val
		return
	}
	if o.index == nil {
		o.index = make(map[string]int)
	}
	o.index[f] = len(o.keys)
	o.keys = append(o.keys, key)
	o.vals = append(o.vals, val)
}

// Get finds a key without regard to case.
func (o *Object) Get(key string) (any, bool) {
	i, ok := o.index[fold(key)]
	if !ok {
		return nil, false
	}
	return o.vals[i], true
}

// Len is the number of keys.
func (o *Object) Len() int { return len(o.keys) }

// Keys gives the keys in their order; the caller may change the list.
func (o *Object) Keys() []string { return slices.Clone(o.keys) }

// All gives keys and values in their order.
func (o *Object) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for i, k := range o.keys {
			if !yield(k, o.vals[i]) {
				return
			}
		}
	}
}

// MarshalJSON keeps the order of the keys; NaN and the infinities become
// strings.
func (o *Object) MarshalJSON() ([]byte, error) { return compactJSON(o), nil }

// CaseSensitive is an object whose keys are found only as they are spelled: the
// env context of a machine whose environment is so.
type CaseSensitive map[string]string

func isObject(x any) bool {
	switch x.(type) {
	case *Object, map[string]any, map[string]string, CaseSensitive:
		return true
	}
	return false
}

// lookup finds a key of an object. In a Go map, which may have keys that differ
// in case only, the exact spelling comes first, then the first in order.
func lookup(obj any, key string) (any, bool) {
	switch m := obj.(type) {
	case *Object:
		return m.Get(key)
	case map[string]any:
		return lookupMap(m, key)
	case map[string]string:
		return lookupMap(m, key)
	case CaseSensitive:
		v, ok := m[key]
		return v, ok
	}
	return nil, false
}

func lookupMap[V any](m map[string]V, key string) (any, bool) {
	if v, ok := m[key]; ok {
		return v, true
	}
	found, best := false, ""
	for k := range m {
		if equalFold(k, key) && (!found || k < best) {
			found, best = true, k
		}
	}
	if !found {
		return nil, false
	}
	return m[best], true
}

func objectLen(obj any) int {
	switch m := obj.(type) {
	case *Object:
		return m.Len()
	case map[string]any:
		return len(m)
	case map[string]string:
		return len(m)
	case CaseSensitive:
		return len(m)
	}
	return 0
}

// entries gives the keys and values of an object: in its order, or sorted where
// Go keeps none.
func entries(obj any) iter.Seq2[string, any] {
	switch m := obj.(type) {
	case *Object:
		return m.All()
	case map[string]any:
		return sorted(m)
	case map[string]string:
		return sorted(m)
	case CaseSensitive:
		return sorted(m)
	}
	return func(func(string, any) bool) {}
}

func sorted[V any](m map[string]V) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

func identity(obj any) any {
	if o, ok := obj.(*Object); ok {
		return o
	}
	return reflect.ValueOf(obj).UnsafePointer()
}

func sameObject(a, b any) bool { return identity(a) == identity(b) }

// Plain turns every *Object within x into a map[string]any, for code that wants
// nothing but maps. Maps and lists that hold none are copied all the same.
func Plain(x any) any {
	switch x := x.(type) {
	case []any:
		out := make([]any, len(x))
		for i, v := range x {
			out[i] = Plain(v)
		}
		return out
	case *Object, map[string]any:
		out := make(map[string]any, objectLen(x))
		for k, v := range entries(x) {
			out[k] = Plain(v)
		}
		return out
	}
	return x
}

// Entries gives the keys and values of an object that Eval returned, in its
// order (sorted for Go maps); ok is false when x is none.
func Entries(x any) (all iter.Seq2[string, any], ok bool) {
	return entries(x), isObject(x)
}
