package tool

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Strftime formats a time by the conversions of C's strftime and date's %N, %s
// and %:z, in the C locale, with the flags - _ 0 ^.
func Strftime(t time.Time, format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		start := i
		i++
		var flag byte
		for i < len(format) && strings.IndexByte("-_0^#", format[i]) >= 0 {
			flag = format[i]
			i++
		}
		width := 0
		for i < len(format) && format[i] >= '0' && format[i] <= '9' {
			width = width*10 + int(format[i]-'0')
			i++
		}
		colons := 0
		for i < len(format) && format[i] == ':' {
			colons++
			i++
		}
		if i == len(format) {
			b.WriteString(format[start:])
			break
		}
		text, digits, pad, ok := conversion(t, format[i], colons, width)
		if !ok {
			b.WriteString(format[start : i+1])
			continue
		}
		if flag == '^' {
			text = strings.ToUpper(text)
		}
		if digits > 0 {
			digits = max(digits, width)
			switch flag {
			case '-':
				pad = 0
			case '_':
				pad = ' '
			case '0':
				pad = '0'
			}
			for pad != 0 && len(text) < digits {
				text = string(pad) + text
			}
		}
		b.WriteString(text)
	}
	return b.String()
}

// conversion gives one conversion's text; for numbers, the digits to pad to and
// what with.
func conversion(t time.Time, verb byte, colons, width int) (text string, digits int, pad byte, ok bool) {
	num := func(n, digits int) (string, int, byte, bool) { return strconv.Itoa(n), digits, '0', true }
	str := func(s string) (string, int, byte, bool) { return s, 0, 0, true }
	year, week := t.ISOWeek()
	switch verb {
	case '%':
		return str("%")
	case 'n':
		return str("\n")
	case 't':
		return str("\t")
	case 'a':
		return str(t.Format("Mon"))
	case 'A':
		return str(t.Format("Monday"))
	case 'b', 'h':
		return str(t.Format("Jan"))
	case 'B':
		return str(t.Format("January"))
	case 'c':
		return str(t.Format("Mon Jan _2 15:04:05 2006"))
	case 'C':
		return num(t.Year()/100, 2)
	case 'd':
		return num(t.Day(), 2)
	case 'D', 'x':
		return str(t.Format("01/02/06"))
	case 'e':
		return strconv.Itoa(t.Day()), 2, ' ', true
	case 'F':
		return str(t.Format("2006-01-02"))
	case 'g':
		return num(year%100, 2)
	case 'G':
		return num(year, 4)
	case 'H':
		return num(t.Hour(), 2)
	case 'I':
		return num((t.Hour()+11)%12+1, 2)
	case 'j':
		return num(t.YearDay(), 3)
	case 'k':
		return strconv.Itoa(t.Hour()), 2, ' ', true
	case 'l':
		return strconv.Itoa((t.Hour()+11)%12 + 1), 2, ' ', true
	case 'm':
		return num(int(t.Month()), 2)
	case 'M':
		return num(t.Minute(), 2)
	case 'N':
		s := fmt.Sprintf("%09d", t.Nanosecond())
		if width > 0 && width < 9 {
			s = s[:width]
		}
		return str(s)
	case 'p':
		return str(t.Format("PM"))
	case 'P':
		return str(strings.ToLower(t.Format("PM")))
	case 'q':
		return num((int(t.Month())+2)/3, 1)
	case 'r':
		return str(t.Format("03:04:05 PM"))
	case 'R':
		return str(t.Format("15:04"))
	case 's':
		return num(int(t.Unix()), 1)
	case 'S':
		return num(t.Second(), 2)
	case 'T', 'X':
		return str(t.Format("15:04:05"))
	case 'u':
		return num((int(t.Weekday())+6)%7+1, 1)
	case 'U':
		return num((t.YearDay()+6-int(t.Weekday()))/7, 2)
	case 'V':
		return num(week, 2)
	case 'w':
		return num(int(t.Weekday()), 1)
	case 'W':
		return num((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2)
	case 'y':
		return num(t.Year()%100, 2)
	case 'Y':
		return num(t.Year(), 4)
	case 'z':
		layout := []string{"-0700", "-07:00", "-07:00:00"}[min(colons, 2)]
		return str(t.Format(layout))
	case 'Z':
		return str(t.Format("MST"))
	}
	return "", 0, 0, false
}
