package tools

import (
	"fmt"
	"strconv"
	"strings"
)

// sortKey is one -k; its flags replace the global ones when it has any.
type sortKey struct {
	f1, c1, f2, c2 int
	flags          string
}

func parseKey(s, global string) (sortKey, error) {
	k := sortKey{f2: 0}
	bad := fmt.Errorf("invalid field specification '%s'", s)
	from, to, hasTo := strings.Cut(s, ",")
	parse := func(p string) (field, char int, flags string, err error) {
		i := 0
		for i < len(p) && (p[i] >= '0' && p[i] <= '9' || p[i] == '.') {
			i++
		}
		flags = p[i:]
		if strings.Trim(flags, "bdfginhrVMR") != "" {
			return 0, 0, "", bad
		}
		f, c, hasChar := strings.Cut(p[:i], ".")
		if field, err = strconv.Atoi(f); err != nil || field < 1 {
			return 0, 0, "", bad
		}
		if hasChar {
			if char, err = strconv.Atoi(c); err != nil {
				return 0, 0, "", bad
			}
		}
		return field, char, flags, nil
	}
	var err error
	if k.f1, k.c1, k.flags, err = parse(from); err != nil {
		return k, err
	}
	if hasTo {
		var flags string
		if k.f2, k.c2, flags, err = parse(to); err != nil {
			return k, err
		}
		k.flags += flags
	}
	if k.flags == "" {
		k.flags = global
	}
	return k, nil
}

// extract gives the part of a line that a key means.
func (k sortKey) extract(line, sep string) string {
	if k.f1 == 0 {
		return line
	}
	starts := fieldStarts(line, sep)
	begin := len(line)
	if k.f1 <= len(starts) {
		begin = starts[k.f1-1]
	}
	end := len(line)
	if k.f2 > 0 && k.f2 <= len(starts) {
		if k.c2 > 0 {
			from := starts[k.f2-1]
			if sep == "" && strings.Contains(k.flags, "b") {
				for from < len(line) && (line[from] == ' ' || line[from] == '\t') {
					from++
				}
			}
			end = min(len(line), from+k.c2)
		} else if k.f2 < len(starts) {
			end = starts[k.f2] - len(sep)
		}
	}
	if strings.Contains(k.flags, "b") {
		for begin < end && (line[begin] == ' ' || line[begin] == '\t') {
			begin++
		}
	}
	if k.c1 > 1 {
		begin += k.c1 - 1
	}
	if begin >= end {
		return ""
	}
	return line[begin:end]
}

func fieldStarts(line, sep string) []int {
	starts := []int{0}
	if sep != "" {
		for i := 0; i+len(sep) <= len(line); i++ {
			if line[i:i+len(sep)] == sep {
				starts = append(starts, i+len(sep))
			}
		}
		return starts
	}
	// A field begins with the blanks before it.
	for i := 1; i < len(line); i++ {
		blank := line[i] == ' ' || line[i] == '\t'
		before := line[i-1] == ' ' || line[i-1] == '\t'
		if blank && !before {
			starts = append(starts, i)
		}
	}
	return starts
}

func leadingNumber(s string) float64 {
	s = strings.TrimLeft(s, " \t")
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	for i < len(s) && (s[i] >= '0' && s[i] <= '9') {
		i++
	}
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		}
	}
	f, _ := strconv.ParseFloat(s[:i], 64)
	return f
}

func human(s string) float64 {
	f := leadingNumber(s)
	t := strings.TrimLeft(strings.TrimLeft(s, " \t"), "-0123456789.")
	if t != "" {
		if i := strings.IndexByte("KMGTPE", t[0]&^0x20); i >= 0 {
			// The unit decides before the number does.
			for range i + 1 {
				f *= 1024
			}
		}
	}
	return f
}

var months = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"

func compareKeys(a, b, flags string) int {
	has := func(f string) bool { return strings.Contains(flags, f) }
	order := 0
	numeric := func(f func(string) float64) {
		x, y := f(a), f(b)
		switch {
		case x < y:
			order = -1
		case x > y:
			order = 1
		}
	}
	switch {
	case has("n"):
		numeric(leadingNumber)
	case has("h"):
		numeric(human)
	case has("g"):
		numeric(func(s string) float64 {
			s = strings.TrimSpace(s)
			for n := len(s); n > 0; n-- {
				if f, err := strconv.ParseFloat(s[:n], 64); err == nil {
					return f
				}
			}
			return 0
		})
	case has("M"):
		numeric(func(s string) float64 {
			s = strings.ToUpper(strings.TrimSpace(s))
			if len(s) < 3 {
				return -1
			}
			return float64(strings.Index(months, s[:3]))
		})
	case has("V"):
		order = compareVersions(a, b)
	default:
		if has("d") {
			keep := func(r rune) rune {
				if r == ' ' || r == '\t' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
					return r
				}
				return -1
			}
			a, b = strings.Map(keep, a), strings.Map(keep, b)
		}
		if has("f") {
			a, b = strings.ToUpper(a), strings.ToUpper(b)
		}
		order = strings.Compare(a, b)
	}
	if has("r") {
		order = -order
	}
	return order
}

// compareVersions compares runs of digits as numbers and the rest as text,
// letters before other characters and ~ before everything.
func compareVersions(a, b string) int {
	weight := func(s string, i int) int {
		switch {
		case i >= len(s) || s[i] >= '0' && s[i] <= '9':
			return 0
		case s[i] == '~':
			return -1
		case s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z':
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	digit := func(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for i < len(a) && !digit(a, i) || j < len(b) && !digit(b, j) {
			if x, y := weight(a, i), weight(b, j); x != y {
				return x - y
			}
			i++
			j++
		}
		for i < len(a) && a[i] == '0' {
			i++
		}
		for j < len(b) && b[j] == '0' {
			j++
		}
		first := 0
		for digit(a, i) && digit(b, j) {
			if first == 0 {
				first = int(a[i]) - int(b[j])
			}
			i++
			j++
		}
		if digit(a, i) {
			return 1
		}
		if digit(b, j) {
			return -1
		}
		if first != 0 {
			return first
		}
	}
	return 0
}
