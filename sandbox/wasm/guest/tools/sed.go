package tools

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"otelrunner/sandbox/wasm/guest/sed"
	"otelrunner/sandbox/wasm/guest/tool"
)

func sedTools() []*tool.Tool {
	return []*tool.Tool{{
		Name: "sed", Usage: "[OPTION]... {SCRIPT | -e SCRIPT | -f FILE} [FILE]...", Short: "edit lines by a script", Run: runSed,
		Options: []tool.Option{
			{Short: 'n', Long: "quiet", Help: "print only what p says"}, {Long: "silent", Help: "as -n"}, {Short: 'e', Long: "expression", Arg: "SCRIPT", Help: "add to the script"},
			{Short: 'f', Long: "file", Arg: "FILE", Help: "add FILE to the script"}, {Short: 'E', Long: "regexp-extended", Help: "extended expressions"}, {Short: 'r', Help: "as -E"},
			{Short: 'i', Long: "in-place", Arg: "[SUFFIX]", Help: "change files in place, keeping a copy with SUFFIX"}, {Short: 's', Long: "separate", Help: "each file has its own line numbers"},
			{Short: 'z', Long: "null-data", Help: "lines end with NUL"}, {Short: 'u', Long: "unbuffered", Help: "accepted"}, {Long: "posix", Help: "accepted"}, {Long: "debug", Help: "accepted"},
		},
		Notes: []string{"GNU's commands and addresses, without the e command and flag."},
	}}
}

type sedFiles struct {
	c      *tool.Call
	opened []io.Closer
}

func (s *sedFiles) Read(name string) (io.ReadCloser, error) { return s.c.Open(name) }

func (s *sedFiles) Write(name string) (io.Writer, error) {
	f, err := s.c.Create(name)
	if err == nil {
		s.opened = append(s.opened, f)
	}
	return f, err
}

// sedInput opens operands one after the other.
type sedInput struct {
	c      *tool.Call
	names  []string
	open   io.Closer
	failed bool
}

func (s *sedInput) Next() (io.Reader, string, error) {
	if s.open != nil {
		s.open.Close()
		s.open = nil
	}
	for len(s.names) > 0 {
		name := s.names[0]
		s.names = s.names[1:]
		f, err := s.c.Open(name)
		if err != nil {
			s.c.Errorf("can't read %s: %s", name, tool.Reason(err))
			s.failed = true
			continue
		}
		s.open = f
		return f, name, nil
	}
	return nil, "", io.EOF
}

func runSed(c *tool.Call) int {
	var parts []string
	for _, o := range c.Opts {
		switch o.Key {
		case "e":
			parts = append(parts, o.Value)
		case "f":
			f, err := c.Open(o.Value)
			if err != nil {
				return c.Fail("couldn't open file %s: %s", o.Value, tool.Reason(err))
			}
			data, err := io.ReadAll(f)
			f.Close()
			if err != nil {
				return c.Fail("%s: %v", o.Value, err)
			}
			parts = append(parts, strings.TrimSuffix(string(data), "\n"))
		}
	}
	files := c.Args
	if parts == nil {
		if len(files) == 0 {
			return c.Fail("a script is needed")
		}
		parts, files = files[:1], files[1:]
	}
	script, err := sed.Parse(strings.Join(parts, "\n"), c.Has("E") || c.Has("r"))
	if err != nil {
		return c.Fail("%v", err)
	}
	side := &sedFiles{c: c}
	defer func() {
		for _, f := range side.opened {
			f.Close()
		}
	}()
	o := sed.Options{Quiet: c.Has("n") || c.Has("silent"), Null: c.Has("z"), Files: side}
	if len(files) == 0 && !c.Has("i") {
		files = []string{"-"}
	}
	if c.Has("i") || c.Has("s") {
		return sedEach(c, script, files, o)
	}
	in := &sedInput{c: c, names: files}
	status, err := script.Run(in, c.Out, o)
	if in.open != nil {
		in.open.Close()
	}
	if err != nil {
		c.Errorf("%v", err)
		return max(status, 1)
	}
	if in.failed && status == 0 {
		return 2
	}
	return status
}

// sedEach runs the script anew for each file; with -i the file becomes what was
// written.
func sedEach(c *tool.Call, script *sed.Script, files []string, o sed.Options) int {
	status := 0
	for _, name := range files {
		in := &sedInput{c: c, names: []string{name}}
		if !c.Has("i") {
			if st, err := script.Run(in, c.Out, o); err != nil {
				c.Errorf("%v", err)
				return st
			}
			continue
		}
		info, err := os.Stat(c.Path(name))
		if err != nil || !info.Mode().IsRegular() {
			if err == nil {
				err = errors.New("not a regular file")
			}
			c.Errorf("can't read %s: %s", name, tool.Reason(err))
			status = 4
			if errors.Is(err, os.ErrNotExist) {
				status = 2
			}
			continue
		}
		var out bytes.Buffer
		st, err := script.Run(in, &out, o)
		if err != nil {
			c.Errorf("%v", err)
			return st
		}
		if suffix := c.Value("i"); suffix != "" {
			backup := name + suffix
			if strings.Contains(suffix, "*") {
				backup = strings.ReplaceAll(suffix, "*", name)
			}
			if err := os.Rename(c.Path(name), c.Path(backup)); err != nil {
				return c.Fail("%s: %v", name, tool.Reason(err))
			}
		}
		if err := os.WriteFile(c.Path(name), out.Bytes(), info.Mode().Perm()); err != nil {
			c.FileError(name, err)
			return 4
		}
		if st != 0 {
			return st
		}
	}
	return status
}
