package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"otelrunner/sandbox/wasm/guest/posix"
	"otelrunner/sandbox/wasm/guest/tool"
)

func findTools() []*tool.Tool {
	return []*tool.Tool{{Name: "find", Usage: "[PATH]... [EXPRESSION]", Short: "find files", Raw: true, Run: find, Notes: []string{
		"Tests: -name -iname -path -ipath -regex -iregex -type -size -empty -newer -mtime -mmin -perm -maxdepth -mindepth -true -false.",
		"Actions: -print -print0 -printf -exec (; and +) -execdir -delete -prune -quit. Operators: ( ) ! -not -a -and -o -or ,.",
		"Results are in the order of names.",
	}}}
}

type finder struct {
	c                  *tool.Call
	args               []string
	minDepth, maxDepth int
	depthFirst         bool
	action             bool
	status             int
	prune, quit        bool
	batches            []*batch
}

type batch struct {
	command []string
	files   []string
}

type found struct {
	path  string // as written
	start string
	info  fs.FileInfo
	depth int
}

type predicate func(f *found) bool

func find(c *tool.Call) int {
	f := &finder{c: c, maxDepth: 1 << 30}
	args := c.Args
	for len(args) > 0 && (args[0] == "-L" || args[0] == "-H" || args[0] == "-P") {
		args = args[1:]
	}
	var roots []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") && args[0] != "(" && args[0] != "!" {
		roots, args = append(roots, args[0]), args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	f.args = args
	test := predicate(func(*found) bool { return true })
	if len(args) > 0 {
		var err error
		if test, err = f.list(); err == nil && len(f.args) > 0 {
			err = fmt.Errorf("unexpected `%s'", f.args[0])
		}
		if err != nil {
			return c.Fail("%v", err)
		}
	}
	for _, root := range roots {
		info, err := os.Lstat(c.Path(root))
		if err != nil {
			c.Errorf("'%s': %s", root, tool.Reason(err))
			f.status = 1
			continue
		}
		f.visit(&found{root, root, info, 0}, test)
		if f.quit {
			break
		}
	}
	for _, b := range f.batches {
		f.flush(b)
	}
	return f.status
}

func (f *finder) visit(x *found, test predicate) {
	apply := func() {
		if x.depth < f.minDepth {
			return
		}
		if test(x) && !f.action {
			fmt.Fprintln(f.c.Out, x.path)
		}
	}
	f.prune = false
	if !f.depthFirst {
		apply()
	}
	if x.info.IsDir() && !f.prune && !f.quit && x.depth < f.maxDepth {
		entries, err := os.ReadDir(f.c.Path(x.path))
		if err != nil {
			f.c.Errorf("'%s': %s", x.path, tool.Reason(err))
			f.status = 1
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue
			}
			f.visit(&found{strings.TrimSuffix(x.path, "/") + "/" + e.Name(), x.start, info, x.depth + 1}, test)
			if f.quit {
				return
			}
		}
	}
	if f.depthFirst && !f.quit {
		apply()
	}
}

func (f *finder) peek() string {
	if len(f.args) > 0 {
		return f.args[0]
	}
	return ""
}

func (f *finder) take() (string, error) {
	if len(f.args) == 0 {
		return "", errors.New("an argument is missing")
	}
	a := f.args[0]
	f.args = f.args[1:]
	return a, nil
}

func (f *finder) list() (predicate, error) {
	p, err := f.or()
	for err == nil && f.peek() == "," {
		f.args = f.args[1:]
		var q predicate
		first := p
		if q, err = f.or(); err == nil {
			p = func(x *found) bool { first(x); return q(x) }
		}
	}
	return p, err
}

func (f *finder) or() (predicate, error) {
	p, err := f.and()
	for err == nil && (f.peek() == "-o" || f.peek() == "-or") {
		f.args = f.args[1:]
		first := p
		var q predicate
		if q, err = f.and(); err == nil {
			p = func(x *found) bool { return first(x) || q(x) }
		}
	}
	return p, err
}

func (f *finder) and() (predicate, error) {
	p, err := f.not()
	for err == nil {
		switch f.peek() {
		case "", "-o", "-or", ")", ",":
			return p, nil
		case "-a", "-and":
			f.args = f.args[1:]
		}
		first := p
		var q predicate
		if q, err = f.not(); err == nil {
			p = func(x *found) bool { return first(x) && q(x) }
		}
	}
	return p, err
}

func (f *finder) not() (predicate, error) {
	a, err := f.take()
	if err != nil {
		return nil, err
	}
	switch a {
	case "!", "-not":
		p, err := f.not()
		return func(x *found) bool { return !p(x) }, err
	case "(":
		p, err := f.list()
		if err == nil {
			var end string
			if end, err = f.take(); err == nil && end != ")" {
				err = errors.New("a ) is missing")
			}
		}
		return p, err
	}
	return f.primary(a)
}

// number reads [+-]N: more than, less than, exactly.
func number(s string) (func(n int64) bool, error) {
	v, err := strconv.ParseInt(strings.TrimLeft(s, "+-"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("invalid number `%s'", s)
	}
	switch s[0] {
	case '+':
		return func(n int64) bool { return n > v }, nil
	case '-':
		return func(n int64) bool { return n < v }, nil
	}
	return func(n int64) bool { return n == v }, nil
}

// glob matches with * crossing slashes, as find -path does.
func glob(pattern, text string) bool {
	const slash = "\x01"
	ok, _ := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(text, "/", slash))
	return ok
}

func (f *finder) primary(name string) (predicate, error) {
	yes := func(*found) bool { return true }
	switch name {
	case "-true", "-mount", "-xdev", "-noleaf", "-follow":
		return yes, nil
	case "-false":
		return func(*found) bool { return false }, nil
	case "-depth":
		f.depthFirst = true
		return yes, nil
	case "-empty":
		return func(x *found) bool {
			if x.info.IsDir() {
				entries, err := os.ReadDir(f.c.Path(x.path))
				return err == nil && len(entries) == 0
			}
			return x.info.Mode().IsRegular() && x.info.Size() == 0
		}, nil
	case "-executable":
		return func(x *found) bool { return x.info.Mode()&0o111 != 0 }, nil
	case "-readable", "-writable":
		return yes, nil
	case "-prune":
		return func(*found) bool { f.prune = true; return true }, nil
	case "-quit":
		f.action = true
		return func(*found) bool { f.quit = true; return true }, nil
	case "-print", "-print0":
		f.action = true
		end := map[string]string{"-print": "\n", "-print0": "\x00"}[name]
		return func(x *found) bool { f.c.Out.WriteString(x.path + end); return true }, nil
	case "-ls":
		f.action = true
		return func(x *found) bool { put(f.c, []entry{{x.path, x.info, f.c.Path(x.path)}}); return true }, nil
	case "-delete":
		f.action, f.depthFirst = true, true
		return func(x *found) bool {
			if x.path == "." {
				return true
			}
			if err := os.Remove(f.c.Path(x.path)); err != nil {
				f.c.Errorf("cannot delete '%s': %s", x.path, tool.Reason(err))
				f.status = 1
				return false
			}
			return true
		}, nil
	case "-exec", "-execdir", "-ok":
		return f.exec(name == "-execdir")
	}
	arg, err := f.take()
	if err != nil {
		return nil, fmt.Errorf("unknown predicate or missing argument `%s'", name)
	}
	return f.withArg(name, arg)
}

func (f *finder) withArg(name, arg string) (predicate, error) {
	yes := func(*found) bool { return true }
	fold := func(s string) string { return s }
	if strings.HasPrefix(name, "-i") {
		fold = strings.ToLower
	}
	switch name {
	case "-name", "-iname":
		return func(x *found) bool { return glob(fold(arg), fold(path.Base(x.path))) }, nil
	case "-path", "-ipath", "-wholename":
		return func(x *found) bool { return glob(fold(arg), fold(x.path)) }, nil
	case "-regextype":
		return yes, nil
	case "-regex", "-iregex":
		re, err := posix.Compile(arg, posix.Extended, posix.Flags{Line: true, IgnoreCase: name == "-iregex"})
		if err != nil {
			return nil, err
		}
		return func(x *found) bool { return re.Match(x.path) }, nil
	case "-type":
		return func(x *found) bool {
			m := x.info.Mode()
			return strings.Contains(arg, "f") && m.IsRegular() || strings.Contains(arg, "d") && m.IsDir() || strings.Contains(arg, "l") && m&fs.ModeSymlink != 0
		}, nil
	case "-maxdepth", "-mindepth":
		n, err := strconv.Atoi(arg)
		if name == "-maxdepth" {
			f.maxDepth = n
		} else {
			f.minDepth = n
		}
		return yes, err
	case "-size":
		unit := int64(512)
		if i := strings.IndexAny(arg, "cwbkMG"); i == len(arg)-1 && i > 0 {
			unit = map[byte]int64{'c': 1, 'w': 2, 'b': 512, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[arg[i]]
			arg = arg[:i]
		}
		is, err := number(arg)
		return func(x *found) bool { return is((x.info.Size() + unit - 1) / unit) }, err
	case "-mtime", "-mmin", "-atime", "-ctime":
		unit := 24 * time.Hour
		if name == "-mmin" {
			unit = time.Minute
		}
		is, err := number(arg)
		return func(x *found) bool { return is(int64(time.Since(x.info.ModTime()) / unit)) }, err
	case "-newer":
		info, err := os.Stat(f.c.Path(arg))
		if err != nil {
			return nil, fmt.Errorf("'%s': %s", arg, tool.Reason(err))
		}
		return func(x *found) bool { return x.info.ModTime().After(info.ModTime()) }, nil
	case "-perm":
		mode, err := strconv.ParseUint(strings.TrimLeft(arg, "-/+"), 8, 12)
		return func(x *found) bool {
			m := uint64(x.info.Mode().Perm())
			switch arg[0] {
			case '-':
				return m&mode == mode
			case '/':
				return mode == 0 || m&mode != 0
			}
			return m == mode
		}, err
	case "-printf":
		f.action = true
		return func(x *found) bool { f.c.Out.WriteString(f.printf(arg, x)); return true }, nil
	}
	return nil, fmt.Errorf("unknown predicate `%s'", name)
}

func (f *finder) printf(format string, x *found) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		ch := format[i]
		if i+1 == len(format) || ch != '%' && ch != '\\' {
			b.WriteByte(ch)
			continue
		}
		i++
		if ch == '\\' {
			if j := strings.IndexByte(`nt0\`, format[i]); j >= 0 {
				b.WriteByte("\n\t\x00\\"[j])
			}
			continue
		}
		switch format[i] {
		case 'p':
			b.WriteString(x.path)
		case 'f':
			b.WriteString(path.Base(x.path))
		case 'h':
			if dir, _, ok := cutLast(x.path); ok {
				b.WriteString(dir)
			} else {
				b.WriteByte('.')
			}
		case 'P':
			b.WriteString(strings.TrimPrefix(strings.TrimPrefix(x.path, x.start), "/"))
		case 's':
			fmt.Fprint(&b, x.info.Size())
		case 'd':
			fmt.Fprint(&b, x.depth)
		case 'm':
			fmt.Fprintf(&b, "%o", x.info.Mode().Perm())
		case 'y':
			b.WriteString(map[string]string{"-": "f"}[modeText(x.info.Mode())[:1]])
			if k := modeText(x.info.Mode())[:1]; k != "-" {
				b.WriteString(k)
			}
		case 'l':
			dest, _ := os.Readlink(f.c.Path(x.path))
			b.WriteString(dest)
		case 'T':
			if i+1 < len(format) {
				i++
				if format[i] == '@' {
					fmt.Fprintf(&b, "%d.%09d0", x.info.ModTime().Unix(), x.info.ModTime().Nanosecond())
				} else {
					b.WriteString(tool.Strftime(x.info.ModTime(), "%"+format[i:i+1]))
				}
			}
		case '%':
			b.WriteByte('%')
		}
	}
	return b.String()
}

func cutLast(s string) (dir, base string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

func (f *finder) exec(inDir bool) (predicate, error) {
	f.action = true
	var command []string
	for {
		a, err := f.take()
		if err != nil {
			return nil, errors.New("-exec has no ; at its end")
		}
		if a == "+" && len(command) > 1 && command[len(command)-1] == "{}" {
			b := &batch{command: command[:len(command)-1]}
			f.batches = append(f.batches, b)
			return func(x *found) bool {
				if b.files = append(b.files, x.path); len(b.files) >= 1000 {
					f.flush(b)
				}
				return true
			}, nil
		}
		if a == ";" {
			break
		}
		command = append(command, a)
	}
	if len(command) == 0 {
		return nil, errors.New("-exec needs a command")
	}
	return func(x *found) bool {
		s := f.c.Streams()
		name := x.path
		if inDir {
			s.Dir, name = filepath.Dir(f.c.Path(x.path)), "./"+path.Base(x.path)
		}
		args := make([]string, len(command))
		for i, a := range command {
			args[i] = strings.ReplaceAll(a, "{}", name)
		}
		return f.c.Host.Exec(f.c.Context, args, s) == 0
	}, nil
}

func (f *finder) flush(b *batch) {
	if len(b.files) == 0 {
		return
	}
	if f.c.Host.Exec(f.c.Context, append(append([]string{}, b.command...), b.files...), f.c.Streams()) != 0 {
		f.status = 1
	}
	b.files = nil
}
