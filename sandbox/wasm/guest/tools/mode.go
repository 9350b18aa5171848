package tools

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

func chmod(c *tool.Call) int {
	recursive := false
	args := c.Args
	for len(args) > 0 && (args[0] == "-R" || args[0] == "-v" || args[0] == "-f" || args[0] == "-c" || args[0] == "--") {
		recursive = recursive || args[0] == "-R"
		args = args[1:]
	}
	if len(args) < 2 {
		return c.Fail("missing operand")
	}
	change, err := parseMode(args[0])
	if err != nil {
		return c.Fail("%v", err)
	}
	status := 0
	apply := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		err = os.Chmod(path, change(info.Mode()))
		if err != nil && !permissions {
			return nil
		}
		return err
	}
	for _, name := range args[1:] {
		err := apply(c.Path(name))
		if err == nil && recursive {
			err = filepath.WalkDir(c.Path(name), func(p string, d fs.DirEntry, err error) error {
				if err != nil || d.Type()&fs.ModeSymlink != 0 {
					return err
				}
				return apply(p)
			})
		}
		if err != nil {
			c.Errorf("cannot access '%s': %s", name, tool.Reason(err))
			status = 1
		}
	}
	return status
}

// parseMode reads 755 or u+x,go-w.
func parseMode(s string) (func(fs.FileMode) fs.FileMode, error) {
	if n, err := strconv.ParseUint(s, 8, 12); err == nil {
		return func(fs.FileMode) fs.FileMode { return fs.FileMode(n) & 0o777 }, nil
	}
	var steps []func(fs.FileMode) fs.FileMode
	for part := range strings.SplitSeq(s, ",") {
		i := strings.IndexAny(part, "+-=")
		if i < 0 || strings.Trim(part[:i], "ugoa") != "" || strings.Trim(part[i+1:], "rwxXst") != "" {
			return nil, fmt.Errorf("invalid mode: '%s'", s)
		}
		who, op, perms := part[:i], part[i], part[i+1:]
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		steps = append(steps, func(m fs.FileMode) fs.FileMode {
			var bits, mask fs.FileMode
			for _, w := range who {
				shift := map[rune]uint{'u': 6, 'g': 3, 'o': 0}[w]
				mask |= 7 << shift
				for _, p := range perms {
					v := map[rune]fs.FileMode{'r': 4, 'w': 2, 'x': 1}[p]
					if p == 'X' && (m.IsDir() || m&0o111 != 0) {
						v = 1
					}
					bits |= v << shift
				}
			}
			switch op {
			case '+':
				return m | bits
			case '-':
				return m &^ bits
			}
			return m&^mask | bits
		})
	}
	return func(m fs.FileMode) fs.FileMode {
		for _, s := range steps {
			m = s(m)
		}
		return m.Perm()
	}, nil
}
