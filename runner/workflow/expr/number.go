package expr

import (
	"math"
	"strconv"
	"strings"
)

// parseNumber reads a string as a number by the rules of GitHub's runner (.NET's
// Double.Parse with sign, point and exponent, then 0x and 0o forms of 32 bits).
// White space around is ignored, nothing is 0, and what is no number is NaN.
func parseNumber(s string) float64 {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if isDecimal(s) {
		f, _ := strconv.ParseFloat(s, 64) // beyond the range it gives ±Inf, as .NET does
		return f
	}
	if len(s) > 2 && s[0] == '0' {
		switch s[1] {
		case 'x':
			return parseInt32(s[2:], 16)
		case 'o':
			return parseInt32(s[2:], 8)
		}
	}
	switch strings.ToLower(s) {
	case "infinity", "+infinity":
		return math.Inf(1)
	case "-infinity":
		return math.Inf(-1)
	}
	return math.NaN()
}

// parseInt32 reads 32 bits as a signed number, as .NET does: 0xffffffff is -1.
func parseInt32(s string, base int) float64 {
	for i := 0; i < len(s); i++ {
		if s[i] == '+' || s[i] == '-' || s[i] == '_' {
			return math.NaN()
		}
	}
	n, err := strconv.ParseUint(s, base, 32)
	if err != nil {
		return math.NaN()
	}
	return float64(int32(uint32(n)))
}

// isDecimal reports whether s is [+-] digits [. digits] [e [+-] digits] with at
// least one digit before the exponent.
func isDecimal(s string) bool {
	i := 0
	if s[0] == '+' || s[0] == '-' {
		i++
	}
	digits := func() (n int) {
		for i < len(s) && isDigit(s[i]) {
			i++
			n++
		}
		return n
	}
	n := digits()
	if i < len(s) && s[i] == '.' {
		i++
		n += digits()
	}
	if n == 0 {
		return false
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if digits() == 0 {
			return false
		}
	}
	return i == len(s)
}

// formatNumber prints as .NET's format "G15": at most 15 significant digits,
// with an exponent of at least two digits from 1E+15 on and below 0.0001.
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatInt(int64(f), 10)
	}
	mant, exp, _ := strings.Cut(strconv.FormatFloat(f, 'e', 14, 64), "e")
	sign := ""
	if mant[0] == '-' {
		sign, mant = "-", mant[1:]
	}
	digits := strings.TrimRight(mant[:1]+mant[2:], "0")
	e, _ := strconv.Atoi(exp)
	switch {
	case e >= 15 || e < -4:
		s := sign + digits[:1]
		if len(digits) > 1 {
			s += "." + digits[1:]
		}
		esign := "+"
		if e < 0 {
			esign, e = "-", -e
		}
		if e < 10 {
			esign += "0"
		}
		return s + "E" + esign + strconv.Itoa(e)
	case e < 0:
		return sign + "0." + strings.Repeat("0", -e-1) + digits
	case len(digits) <= e+1:
		return sign + digits + strings.Repeat("0", e+1-len(digits))
	}
	return sign + digits[:e+1] + "." + digits[e+1:]
}
