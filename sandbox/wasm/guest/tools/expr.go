package tools

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"otelrunner/sandbox/wasm/guest/posix"
	"otelrunner/sandbox/wasm/guest/tool"
)

func exprTools() []*tool.Tool {
	return []*tool.Tool{{Name: "expr", Usage: "EXPRESSION", Short: "compute an expression", Raw: true, Run: expr}}
}

type exprParser struct{ args []string }

var errExpr = errors.New("syntax error")

func expr(c *tool.Call) int {
	p := &exprParser{c.Args}
	v, err := p.or()
	if err == nil && len(p.args) > 0 {
		err = fmt.Errorf("syntax error: unexpected argument '%s'", p.args[0])
	}
	if err != nil {
		c.Errorf("%v", err)
		return 2
	}
	c.Out.WriteString(v + "\n")
	if exprFalse(v) {
		return 1
	}
	return 0
}

func exprFalse(v string) bool {
	n, err := strconv.ParseInt(v, 10, 64)
	return v == "" || err == nil && n == 0
}

func (p *exprParser) is(ops ...string) (string, bool) {
	if len(p.args) == 0 {
		return "", false
	}
	for _, op := range ops {
		if p.args[0] == op {
			p.args = p.args[1:]
			return op, true
		}
	}
	return "", false
}

func (p *exprParser) or() (string, error) {
	l, err := p.and()
	for err == nil {
		if _, ok := p.is("|"); !ok {
			return l, nil
		}
		var r string
		if r, err = p.and(); exprFalse(l) {
			if l = r; exprFalse(r) {
				l = "0"
			}
		}
	}
	return l, err
}

func (p *exprParser) and() (string, error) {
	l, err := p.compare()
	for err == nil {
		if _, ok := p.is("&"); !ok {
			return l, nil
		}
		var r string
		if r, err = p.compare(); exprFalse(l) || exprFalse(r) {
			l = "0"
		}
	}
	return l, err
}

func (p *exprParser) compare() (string, error) {
	l, err := p.sum()
	for err == nil {
		op, ok := p.is("=", "==", "!=", "<", "<=", ">", ">=")
		if !ok {
			return l, nil
		}
		var r string
		if r, err = p.sum(); err != nil {
			return "", err
		}
		o := strings.Compare(l, r)
		if a, aerr := strconv.ParseInt(l, 10, 64); aerr == nil {
			if b, berr := strconv.ParseInt(r, 10, 64); berr == nil {
				o = int(max(-1, min(1, a-b)))
			}
		}
		l = "0"
		if op[0] == '=' && o == 0 || op == "!=" && o != 0 || op[0] == '<' && o < 0 || op[0] == '>' && o > 0 || len(op) == 2 && (op[0] == '<' || op[0] == '>') && o == 0 {
			l = "1"
		}
	}
	return l, err
}

func (p *exprParser) arithmetic(next func() (string, error), ops ...string) (string, error) {
	l, err := next()
	for err == nil {
		op, ok := p.is(ops...)
		if !ok {
			return l, nil
		}
		var r string
		if r, err = next(); err != nil {
			break
		}
		a, aerr := strconv.ParseInt(l, 10, 64)
		b, berr := strconv.ParseInt(r, 10, 64)
		if aerr != nil || berr != nil {
			return "", errors.New("non-integer argument")
		}
		if (op == "/" || op == "%") && b == 0 {
			return "", errors.New("division by zero")
		}
		switch op {
		case "+":
			a += b
		case "-":
			a -= b
		case "*":
			a *= b
		case "/":
			a /= b
		case "%":
			a %= b
		}
		l = strconv.FormatInt(a, 10)
	}
	return l, err
}

func (p *exprParser) sum() (string, error)     { return p.arithmetic(p.product, "+", "-") }
func (p *exprParser) product() (string, error) { return p.arithmetic(p.match, "*", "/", "%") }

func (p *exprParser) match() (string, error) {
	l, err := p.value()
	for err == nil {
		if _, ok := p.is(":"); !ok {
			return l, nil
		}
		var r string
		if r, err = p.value(); err == nil {
			l, err = exprMatch(l, r)
		}
	}
	return l, err
}

func exprMatch(s, pattern string) (string, error) {
	re, err := posix.Compile(pattern, posix.Basic, posix.Flags{})
	if err != nil {
		return "", err
	}
	m := re.Find(s)
	if m != nil && m[0] != 0 {
		m = nil
	}
	switch {
	case re.Groups() > 0 && (m == nil || m[2] < 0):
		return "", nil
	case re.Groups() > 0:
		return s[m[2]:m[3]], nil
	case m == nil:
		return "0", nil
	}
	return strconv.Itoa(utf8.RuneCountInString(s[:m[1]])), nil
}

func (p *exprParser) value() (string, error) {
	if len(p.args) == 0 {
		return "", errExpr
	}
	a := p.args[0]
	p.args = p.args[1:]
	operands := func(n int) ([]string, error) {
		var out []string
		for range n {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}
	switch {
	case a == "(":
		v, err := p.or()
		if _, ok := p.is(")"); err == nil && !ok {
			err = errExpr
		}
		return v, err
	case a == "+" && len(p.args) > 0:
		v := p.args[0]
		p.args = p.args[1:]
		return v, nil
	case a == "length" && len(p.args) > 0:
		v, err := p.value()
		return strconv.Itoa(utf8.RuneCountInString(v)), err
	case a == "match" && len(p.args) > 1:
		v, err := operands(2)
		if err != nil {
			return "", err
		}
		return exprMatch(v[0], v[1])
	case a == "index" && len(p.args) > 1:
		v, err := operands(2)
		if err != nil {
			return "", err
		}
		return strconv.Itoa(strings.IndexAny(v[0], v[1]) + 1), nil
	case a == "substr" && len(p.args) > 2:
		v, err := operands(3)
		if err != nil {
			return "", err
		}
		from, ferr := strconv.Atoi(v[1])
		n, nerr := strconv.Atoi(v[2])
		r := []rune(v[0])
		if ferr != nil || nerr != nil || from < 1 || n < 1 || from > len(r) {
			return "", nil
		}
		return string(r[from-1 : min(len(r), from-1+n)]), nil
	}
	return a, nil
}
