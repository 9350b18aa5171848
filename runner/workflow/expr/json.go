package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of what fromJSON reads and toJSON writes.
const maxJSONDepth = 128

var errDepth = fmt.Errorf("it is nested deeper than %d levels", maxJSONDepth)

func callToJSON(e *evaluator, n *node) (value, int, error) {
	v, err := e.eval(n.kids[0])
	if err != nil {
		return value{}, 0, err
	}
	b := e.builder(n)
	w := jsonWriter{add: b.add, indent: "  "}
	if err := w.write(v.toGo(), 0); err != nil {
		if errors.Is(err, errDepth) {
			err = e.fail(n, "toJSON cannot write this value: "+err.Error(), "", nil)
		}
		return value{}, 0, err
	}
	return stringResult(b.String())
}

// jsonWriter writes as GitHub's toJSON does: two spaces a level, empty lists and
// objects in one piece, non-ASCII as it is, NaN and infinities by name.
type jsonWriter struct {
	add    func(string) error
	indent string // "" writes everything in one line
	strict bool   // numbers have all of their digits; those that JSON has not become strings
}

func (w *jsonWriter) write(x any, depth int) error {
	if depth > maxJSONDepth {
		return errDepth
	}
	v := toValue(x)
	switch v.kind {
	case kindNull:
		return w.add("null")
	case kindString:
		return w.add(quoteJSON(v.str))
	case kindArray:
		return w.array(v.arr.items, depth)
	case kindObject:
		return w.object(v.obj, depth)
	case kindNumber:
		if w.strict {
			return w.add(exactNumber(v.num))
		}
	}
	return w.add(v.text())
}

// exactNumber writes f so that whoever reads it has f again, which the 15 digits
// of an expression's text do not grant.
func exactNumber(f float64) string {
	text, err := json.Marshal(f)
	if err != nil { // NaN and the infinities
		return quoteJSON(formatNumber(f))
	}
	return string(text)
}

func (w *jsonWriter) array(items []any, depth int) error {
	if len(items) == 0 {
		return w.add("[]")
	}
	sep := "["
	for _, x := range items {
		if err := w.add(sep + w.newline(depth+1)); err != nil {
			return err
		}
		if err := w.write(x, depth+1); err != nil {
			return err
		}
		sep = ","
	}
	return w.add(w.newline(depth) + "]")
}

func (w *jsonWriter) object(o any, depth int) error {
	if objectLen(o) == 0 {
		return w.add("{}")
	}
	sep, colon := "{", ": "
	if w.indent == "" {
		colon = ":"
	}
	for k, x := range entries(o) {
		if err := w.add(sep + w.newline(depth+1) + quoteJSON(k) + colon); err != nil {
			return err
		}
		if err := w.write(x, depth+1); err != nil {
			return err
		}
		sep = ","
	}
	return w.add(w.newline(depth) + "}")
}

func (w *jsonWriter) newline(depth int) string {
	if w.indent == "" {
		return ""
	}
	return "\n" + strings.Repeat(w.indent, depth)
}

func quoteJSON(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\u0085', '\u2028', '\u2029':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			if r < ' ' {
				fmt.Fprintf(&b, `\u%04x`, r)
			} else {
				b.WriteRune(r)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}

// compactJSON writes x in one line, without a bound.
func compactJSON(x any) []byte {
	var b bytes.Buffer
	w := jsonWriter{strict: true, add: func(s string) error { b.WriteString(s); return nil }}
	if w.write(x, 0) != nil {
		return []byte("null")
	}
	return b.Bytes()
}

// MarshalResult gives {"kind":…,"value":…} for a result of Eval, in one line,
// keys of objects in their order. NaN and the infinities are strings.
func MarshalResult(x any) []byte {
	return compactJSON(NewObject("kind", KindOf(x), "value", x))
}

func callFromJSON(e *evaluator, n *node) (value, int, error) {
	v, err := e.eval(n.kids[0])
	if err != nil {
		return value{}, 0, err
	}
	r := jsonReader{room: e.limit - e.live}
	x, err := r.readAll(v.text())
	switch {
	case errors.Is(err, errRoom):
		return value{}, 0, e.tooLarge(n)
	case err != nil:
		hint := ""
		if strings.TrimSpace(v.text()) == "" {
			hint = "The text is empty: is the output or variable set?"
		}
		return value{}, 0, e.fail(n, "Error parsing fromJSON: "+err.Error(), hint, err)
	}
	return toValue(x), r.used, nil
}

// DecodeJSON reads one JSON text into nil, bool, float64, string, []any and
// *Object, which keeps the order of keys.
func DecodeJSON(data []byte) (any, error) {
	r := jsonReader{room: math.MaxInt}
	return r.readAll(string(data))
}

var errRoom = errors.New("too large")

// jsonReader reads JSON within a bound of memory; besides what JSON has it
// takes NaN, Infinity and -Infinity, which toJSON writes.
type jsonReader struct {
	dec        *json.Decoder
	used, room int
}

func (r *jsonReader) readAll(s string) (any, error) {
	if x, ok := specialNumber(strings.TrimSpace(s)); ok {
		return x, nil
	}
	r.dec = json.NewDecoder(strings.NewReader(s))
	r.dec.UseNumber() // one beyond the range of float64 is an infinity, no error
	x, err := r.read(0)
	if err == nil {
		if _, more := r.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the end of the value")
		}
	}
	if err != nil && !errors.Is(err, errRoom) {
		return nil, explainJSON(err, s, r.dec.InputOffset())
	}
	return x, err
}

func specialNumber(s string) (any, bool) {
	switch s {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	return nil, false
}

func explainJSON(err error, s string, offset int64) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the text ends where a JSON value is expected")
	}
	offset = max(0, min(offset, int64(len(s))))
	return fmt.Errorf("%w (at character %d of the text)", err, utf8.RuneCountInString(s[:offset]))
}

func (r *jsonReader) count(size int) error {
	r.used += size
	if r.used > r.room {
		return errRoom
	}
	return nil
}

func (r *jsonReader) read(depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, errDepth
	}
	t, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return r.readArray(depth)
		}
		return r.readObject(depth)
	case string:
		return t, r.count(sizeOfString(t))
	case json.Number:
		return parseNumber(string(t)), r.count(smallSize)
	}
	return t, r.count(smallSize)
}

func (r *jsonReader) readArray(depth int) (any, error) {
	items := []any{}
	for r.dec.More() {
		x, err := r.read(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, x)
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, err
	}
	return items, r.count(arraySize(items))
}

func (r *jsonReader) readObject(depth int) (any, error) {
	o := &Object{}
	for r.dec.More() {
		k, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := k.(string)
		if err := r.count(sizeOfString(key)); err != nil {
			return nil, err
		}
		x, err := r.read(depth + 1)
		if err != nil {
			return nil, err
		}
		o.Set(key, x)
	}
	_, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	return o, r.count(smallSize)
}
