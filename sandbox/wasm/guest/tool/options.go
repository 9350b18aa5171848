package tool

import (
	"fmt"
	"strings"
)

// parse takes the options out of Args, in the way of getopt_long: options and
// operands in any order unless Posix, short ones bundled, long ones by any
// unambiguous beginning, -- ends them. -N is an option where the table has one
// with the short name '#'.
func (c *Call) parse() error {
	var operands []string
	args := c.Args
	for len(args) > 0 {
		arg := args[0]
		switch {
		case arg == "--":
			c.Args = append(operands, args[1:]...)
			return nil
		case strings.HasPrefix(arg, "--"):
			rest, err := c.parseLong(arg[2:], args[1:])
			if err != nil {
				return err
			}
			args = rest
		case len(arg) > 1 && arg[0] == '-':
			rest, err := c.parseShort(arg[1:], args[1:])
			if err != nil {
				return err
			}
			args = rest
		case c.tool.Posix:
			c.Args = append(operands, args...)
			return nil
		default:
			operands = append(operands, arg)
			args = args[1:]
		}
	}
	c.Args = operands
	return nil
}

func (c *Call) parseShort(bundle string, rest []string) ([]string, error) {
	for i := 0; i < len(bundle); i++ {
		o, ok := c.tool.short(bundle[i])
		if !ok {
			if num, isNum := c.tool.short('#'); isNum && bundle[i] >= '0' && bundle[i] <= '9' {
				j := i
				for j < len(bundle) && bundle[j] >= '0' && bundle[j] <= '9' {
					j++
				}
				c.Opts = append(c.Opts, Given{num.Key(), bundle[i:j]})
				i = j - 1
				continue
			}
			return nil, fmt.Errorf("invalid option -- '%c'\n%s", bundle[i], c.tool.hint())
		}
		switch {
		case o.Arg == "":
			c.Opts = append(c.Opts, Given{Key: o.Key()})
		case i+1 < len(bundle) || o.Arg[0] == '[':
			c.Opts = append(c.Opts, Given{o.Key(), bundle[i+1:]})
			return rest, nil
		case len(rest) == 0:
			return nil, fmt.Errorf("option requires an argument -- '%c'\n%s", bundle[i], c.tool.hint())
		default:
			c.Opts = append(c.Opts, Given{o.Key(), rest[0]})
			return rest[1:], nil
		}
	}
	return rest, nil
}

func (c *Call) parseLong(arg string, rest []string) ([]string, error) {
	name, value, attached := strings.Cut(arg, "=")
	o, err := c.tool.long(name)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Arg == "" && attached:
		return nil, fmt.Errorf("option '--%s' doesn't allow an argument\n%s", o.Long, c.tool.hint())
	case o.Arg == "" || attached || o.Arg[0] == '[':
	case len(rest) == 0:
		return nil, fmt.Errorf("option '--%s' requires an argument\n%s", o.Long, c.tool.hint())
	default:
		value, rest = rest[0], rest[1:]
	}
	c.Opts = append(c.Opts, Given{o.Key(), value})
	return rest, nil
}

func (t *Tool) short(b byte) (Option, bool) {
	for _, o := range t.Options {
		if o.Short == b {
			return o, true
		}
	}
	return Option{}, false
}

func (t *Tool) long(name string) (Option, error) {
	var found []Option
	for _, o := range t.Options {
		if o.Long == name {
			return o, nil
		}
		if o.Long != "" && strings.HasPrefix(o.Long, name) {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 0:
		return Option{}, fmt.Errorf("unrecognized option '--%s'\n%s", name, t.hint())
	case 1:
		return found[0], nil
	}
	return Option{}, fmt.Errorf("option '--%s' is ambiguous\n%s", name, t.hint())
}

// hint says which options there are: the toolbox is not the whole of GNU.
func (t *Tool) hint() string {
	var names []string
	for _, o := range t.Options {
		names = append(names, o.names())
	}
	if len(names) == 0 {
		return fmt.Sprintf("%s of this toolbox takes no options", t.Name)
	}
	return fmt.Sprintf("options of this toolbox's %s: %s", t.Name, strings.Join(names, " "))
}

func (o Option) names() string {
	var s string
	switch {
	case o.Short == '#':
		return "-" + o.Arg
	case o.Short != 0 && o.Long != "":
		s = fmt.Sprintf("-%c/--%s", o.Short, o.Long)
	case o.Short != 0:
		s = fmt.Sprintf("-%c", o.Short)
	default:
		s = "--" + o.Long
	}
	return s
}

// Help is the command's help text.
func (t *Tool) Help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s %s\n%s.\n", t.Name, t.Usage, upper(t.Short))
	if len(t.Aliases) > 0 {
		fmt.Fprintf(&b, "Also called: %s\n", strings.Join(t.Aliases, ", "))
	}
	if len(t.Options) > 0 {
		b.WriteString("\n")
	}
	for _, o := range t.Options {
		name := o.names()
		if o.Arg != "" && o.Short != '#' {
			name += " " + o.Arg
		}
		fmt.Fprintf(&b, "  %-28s %s\n", name, o.Help)
	}
	for i, n := range t.Notes {
		if i == 0 {
			b.WriteString("\n")
		}
		b.WriteString(n + "\n")
	}
	return b.String()
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Table is the documentation of all commands, as a Markdown table.
func Table(tools []*Tool) string {
	var b strings.Builder
	b.WriteString("| command | what it does | options | notes |\n| --- | --- | --- | --- |\n")
	for _, t := range tools {
		names := append([]string{t.Name}, t.Aliases...)
		var options []string
		for _, o := range t.Options {
			options = append(options, strings.Replace(o.names(), "/", " ", 1))
		}
		cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
		opts := ""
		if len(options) > 0 {
			opts = "`" + strings.Join(options, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", strings.Join(names, "` `"), cell(t.Short), cell(opts), cell(strings.Join(t.Notes, " ")))
	}
	return b.String()
}
