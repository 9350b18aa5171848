package tools

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

type tarOptions struct {
	mode             byte
	file, dir        string
	gzip, verbose    bool
	toOut, keep      bool
	strip            int
	exclude, members []string
	steps            []tarMember
}

// tarMember is a file to be packed, seen from the folder of the last -C.
type tarMember struct{ dir, name string }

func parseTar(c *tool.Call) (o tarOptions, err error) {
	o.file, o.dir = "-", "."
	args := c.Args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		args = append([]string{"-" + args[0]}, args[1:]...)
	}
	take := func(name string) (string, error) {
		if len(args) == 0 {
			return "", fmt.Errorf("option %s needs an argument", name)
		}
		v := args[0]
		args = args[1:]
		return v, nil
	}
	set := func(flag, value string) error {
		switch flag {
		case "f", "file":
			o.file = value
		case "C", "directory":
			if filepath.IsAbs(value) {
				o.dir = value
			} else {
				o.dir = filepath.Join(o.dir, value)
			}
		case "exclude", "X":
			o.exclude = append(o.exclude, strings.TrimSuffix(value, "/"))
		case "strip-components":
			o.strip, err = strconv.Atoi(value)
			return err
		case "T", "files-from":
			f, err := c.Open(value)
			if err != nil {
				return err
			}
			defer f.Close()
			names, err := readLines(f, '\n')
			for _, n := range names {
				o.steps = append(o.steps, tarMember{o.dir, n})
			}
			return err
		}
		return nil
	}
	plain := func(flag string) bool {
		switch flag {
		case "c", "create":
			o.mode = 'c'
		case "x", "extract", "get":
			o.mode = 'x'
		case "t", "list":
			o.mode = 't'
		case "z", "gzip":
			o.gzip = true
		case "v", "verbose":
			o.verbose = true
		case "O", "to-stdout":
			o.toOut = true
		case "k", "keep-old-files":
			o.keep = true
		case "j", "a", "auto-compress", "p", "m", "preserve-permissions", "no-same-owner", "o", "wildcards", "overwrite", "no-same-permissions", "h", "numeric-owner", "bzip2":
		default:
			return false
		}
		return true
	}
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		switch {
		case strings.HasPrefix(a, "--") && len(a) > 2:
			name, value, ok := strings.Cut(a[2:], "=")
			if plain(name) || name == "sort" || name == "owner" || name == "group" || name == "mtime" || name == "format" {
				continue
			}
			switch name {
			case "file", "directory", "exclude", "strip-components", "files-from":
			default:
				return o, fmt.Errorf("unrecognized option '--%s'", name)
			}
			if !ok {
				if value, err = take(a); err != nil {
					return o, err
				}
			}
			if err := set(name, value); err != nil {
				return o, err
			}
		case strings.HasPrefix(a, "-") && len(a) > 1:
			for i := 1; i < len(a); i++ {
				flag := a[i : i+1]
				if plain(flag) {
					continue
				}
				if !strings.Contains("fCTX", flag) {
					return o, fmt.Errorf("invalid option -- '%s'", flag)
				}
				// Old bundles (tar czf FILE) and -C DIR alike take the next word
				// unless something follows directly.
				value := a[i+1:]
				rest := ""
				if value == "" || flag == "f" && strings.Trim(value, "cxtzvjapkO") == "" && i < 5 && strings.Trim(a[1:i], "cxtzvjapkO") == "" && len(value) < 3 && len(args) > 0 {
					rest = value
					if value, err = take("-" + flag); err != nil {
						return o, err
					}
				}
				if err := set(flag, value); err != nil {
					return o, err
				}
				if rest == "" {
					break
				}
			}
		default:
			o.members = append(o.members, a)
			o.steps = append(o.steps, tarMember{o.dir, a})
		}
	}
	if strings.HasSuffix(o.file, ".gz") || strings.HasSuffix(o.file, ".tgz") {
		o.gzip = true
	}
	if o.mode == 0 {
		return o, errors.New("you must specify one of the 'c', 'x' and 't' options")
	}
	return o, nil
}

func runTar(c *tool.Call) int {
	o, err := parseTar(c)
	if err == nil {
		if o.mode == 'c' {
			err = o.create(c)
		} else {
			err = o.read(c)
		}
	}
	if err != nil {
		c.Errorf("%s", tool.Reason(err))
		return 2
	}
	return 0
}

func (o *tarOptions) excluded(name string) bool {
	for _, p := range o.exclude {
		for n := strings.TrimSuffix(name, "/"); n != "." && n != "/" && n != ""; n = path.Dir(n) {
			if glob(p, n) || glob(p, path.Base(n)) || glob(p, strings.TrimPrefix(n, "./")) {
				return true
			}
		}
	}
	return false
}

func (o *tarOptions) create(c *tool.Call) (err error) {
	if len(o.steps) == 0 {
		return errors.New("cowardly refusing to create an empty archive")
	}
	var out io.Writer = c.Out
	if o.file != "-" {
		f, err := c.Create(o.file)
		if err != nil {
			return wrap(o.file, err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	if o.gzip {
		z := gzip.NewWriter(out)
		defer func() { err = errors.Join(err, z.Close()) }()
		out = z
	}
	w := tar.NewWriter(out)
	for _, m := range o.steps {
		base := c.Path(m.dir)
		if err := o.add(c, w, base, m.name); err != nil {
			return err
		}
	}
	return w.Close()
}

func (o *tarOptions) add(c *tool.Call, w *tar.Writer, base, name string) error {
	full := name
	if !filepath.IsAbs(name) {
		full = filepath.Join(base, name)
	}
	if o.excluded(name) || o.file != "-" && full == c.Path(o.file) {
		return nil
	}
	info, err := os.Lstat(full)
	if err != nil {
		return wrap(name+": cannot stat", err)
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(full); err != nil {
			return wrap(name, err)
		}
	} else if !info.IsDir() && !info.Mode().IsRegular() {
		return nil
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = strings.TrimLeft(name, "/")
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	if !permissions {
		h.Mode = 0o644
		if info.IsDir() {
			h.Mode = 0o755
		}
	}
	if info.IsDir() {
		h.Name = strings.TrimSuffix(h.Name, "/") + "/"
	}
	if o.verbose {
		fmt.Fprintln(c.Stderr, h.Name)
	}
	if err := w.WriteHeader(h); err != nil {
		return wrap(name, err)
	}
	if info.Mode().IsRegular() {
		f, err := os.Open(full)
		if err != nil {
			return wrap(name, err)
		}
		_, err = io.Copy(w, f)
		f.Close()
		return wrap(name, err)
	}
	if info.IsDir() {
		entries, err := os.ReadDir(full)
		if err != nil {
			return wrap(name, err)
		}
		for _, e := range entries {
			if err := o.add(c, w, base, strings.TrimSuffix(name, "/")+"/"+e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// decompressed looks at the first bytes to find the compression.
func decompressed(r io.Reader) (io.Reader, error) {
	head := make([]byte, 3)
	n, _ := io.ReadFull(r, head)
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	switch {
	case n >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		return gzip.NewReader(r)
	case string(head[:n]) == "BZh":
		return bzip2.NewReader(r), nil
	}
	return r, nil
}

func (o *tarOptions) wanted(name string) bool {
	if o.excluded(name) {
		return false
	}
	if len(o.members) == 0 {
		return true
	}
	clean := strings.TrimSuffix(name, "/")
	for _, m := range o.members {
		m = strings.TrimSuffix(m, "/")
		if clean == m || strings.HasPrefix(clean, m+"/") || glob(m, clean) {
			return true
		}
	}
	return false
}

func (o *tarOptions) read(c *tool.Call) error {
	in, err := c.Open(o.file)
	if err != nil {
		return wrap(o.file+": cannot open", err)
	}
	defer in.Close()
	plain, err := decompressed(in)
	if err != nil {
		return err
	}
	var root *os.Root
	if o.mode == 'x' && !o.toOut {
		if root, err = os.OpenRoot(c.Path(o.dir)); err != nil {
			return wrap(o.dir+": cannot open", err)
		}
		defer root.Close()
	}
	found := len(o.members) == 0
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if err == io.EOF {
			if !found {
				return errors.New("not found in archive: " + strings.Join(o.members, " "))
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("this does not look like a tar archive: %w", err)
		}
		if !o.wanted(h.Name) {
			continue
		}
		found = true
		switch {
		case o.mode == 't':
			if o.verbose {
				fmt.Fprintf(c.Out, "%s 0/0 %15d %s ", modeText(h.FileInfo().Mode()), h.Size, h.ModTime.UTC().Format("2006-01-02 15:04"))
			}
			fmt.Fprintln(c.Out, h.Name)
		case o.toOut:
			if _, err := io.Copy(c.Out, r); err != nil {
				return err
			}
		default:
			if o.verbose {
				fmt.Fprintln(c.Out, h.Name)
			}
			if err := o.extract(root, h, r); err != nil {
				return wrap(h.Name, err)
			}
		}
	}
}

func (o *tarOptions) extract(root *os.Root, h *tar.Header, r io.Reader) error {
	parts := strings.Split(strings.Trim(path.Clean("/"+h.Name), "/"), "/")
	if len(parts) <= o.strip || parts[0] == "" {
		return nil
	}
	name := strings.Join(parts[o.strip:], "/")
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if o.keep {
		if _, err := root.Lstat(name); err == nil {
			return nil
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		_ = root.Remove(name)
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		_ = root.Remove(name)
		return root.Link(path.Clean(strings.TrimLeft(h.Linkname, "/")), name)
	case tar.TypeReg:
		return writeMember(root, name, h.FileInfo(), r)
	}
	return nil
}

func writeMember(root *os.Root, name string, info fs.FileInfo, r io.Reader) error {
	_ = root.Remove(name)
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		_ = root.Chtimes(name, info.ModTime(), info.ModTime())
	}
	return err
}
