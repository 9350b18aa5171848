package expr

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

type kind uint8

const (
	kindNull kind = iota
	kindBoolean
	kindNumber
	kindString
	kindArray
	kindObject
)

func (k kind) String() string {
	return [...]string{"Null", "Boolean", "Number", "String", "Array", "Object"}[k]
}

// value is what the evaluator works with. The zero value is null.
type value struct {
	kind kind
	num  float64 // of a number; of a boolean 0 or 1
	str  string
	arr  *array
	obj  any // of an object: whatever isObject accepts
}

// array is a list with an identity: two arrays are equal only when they are the
// same one, which a Go slice cannot tell when it is empty.
type array struct {
	items    []any
	filtered bool // made by .* : keys apply to its items
	from     origin
}

// origin is the place that an array was read from.
type origin struct {
	parent any // a pointer, or nil for the contexts themselves
	key    string
}

func boolValue(b bool) value {
	if b {
		return value{kind: kindBoolean, num: 1}
	}
	return value{kind: kindBoolean}
}

func numberValue(f float64) value { return value{kind: kindNumber, num: f} }
func stringValue(s string) value  { return value{kind: kindString, str: s} }
func objectValue(o any) value     { return value{kind: kindObject, obj: o} }
func filteredValue(its []any) value {
	return value{kind: kindArray, arr: &array{items: its, filtered: true}}
}

// toValue reads a Go value. Types that no JSON has are taken by their text.
func toValue(x any) value {
	switch x := x.(type) {
	case nil:
		return value{}
	case bool:
		return boolValue(x)
	case string:
		return stringValue(x)
	case float64:
		return numberValue(x)
	case int:
		return numberValue(float64(x))
	case int64:
		return numberValue(float64(x))
	case []any:
		return value{kind: kindArray, arr: &array{items: x}}
	case []string:
		items := make([]any, len(x))
		for i, s := range x {
			items[i] = s
		}
		return value{kind: kindArray, arr: &array{items: items}}
	case json.Number:
		return numberValue(parseNumber(string(x)))
	}
	if isObject(x) {
		return objectValue(x)
	}
	return otherValue(x)
}

func otherValue(x any) value {
	v := reflect.ValueOf(x)
	switch v.Kind() {
	case reflect.Bool:
		return boolValue(v.Bool())
	case reflect.String:
		return stringValue(v.String())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int, reflect.Int64:
		return numberValue(float64(v.Int()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint, reflect.Uint64:
		return numberValue(float64(v.Uint()))
	case reflect.Float32, reflect.Float64:
		return numberValue(v.Float())
	case reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = v.Index(i).Interface()
		}
		return value{kind: kindArray, arr: &array{items: items}}
	}
	return stringValue(fmt.Sprint(x))
}

// toGo is the reverse of toValue: nil, bool, float64, string, []any, or the
// object as it was given.
func (v value) toGo() any {
	switch v.kind {
	case kindBoolean:
		return v.num != 0
	case kindNumber:
		return v.num
	case kindString:
		return v.str
	case kindArray:
		return v.arr.items
	case kindObject:
		return v.obj
	}
	return nil
}

func (v value) primitive() bool { return v.kind < kindArray }

func (v value) truthy() bool {
	switch v.kind {
	case kindNull:
		return false
	case kindBoolean:
		return v.num != 0
	case kindNumber:
		return v.num != 0 && !math.IsNaN(v.num)
	case kindString:
		return v.str != ""
	}
	return true
}

// text is the value as ${{ }} inserts it.
func (v value) text() string {
	switch v.kind {
	case kindNull:
		return ""
	case kindBoolean:
		return strconv.FormatBool(v.num != 0)
	case kindNumber:
		return formatNumber(v.num)
	case kindString:
		return v.str
	}
	return v.kind.String()
}

// number is the value as a comparison with a number sees it.
func (v value) number() float64 {
	switch v.kind {
	case kindNull:
		return 0
	case kindBoolean, kindNumber:
		return v.num
	case kindString:
		return parseNumber(v.str)
	}
	return math.NaN()
}

// Truthy reports whether `if: x` would run.
func Truthy(x any) bool { return toValue(x).truthy() }

// Text is x as ${{ x }} inserts it into a text: null gives "", a number its
// shortest form of at most 15 digits, a list "Array", an object "Object".
func Text(x any) string { return toValue(x).text() }

// KindOf names what x is to an expression: "Null", "Boolean", "Number",
// "String", "Array" or "Object".
func KindOf(x any) string { return toValue(x).kind.String() }

// Equal reports whether `a == b` holds, with all of its coercions; lists and
// objects are equal only to themselves.
func Equal(a, b any) bool { return equal(toValue(a), toValue(b)) }

// Number is x as a comparison with a number sees it: null, false and "" are 0,
// a text is read as a number (0x and 0o forms too), anything else is NaN.
func Number(x any) float64 { return toValue(x).number() }
