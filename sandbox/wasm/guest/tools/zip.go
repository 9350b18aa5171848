package tools

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

func runZip(c *tool.Call) int {
	if len(c.Args) < 2 {
		return c.Fail("an archive and files are needed")
	}
	name := c.Args[0]
	if path.Ext(name) == "" {
		name += ".zip"
	}
	out, err := c.Create(name)
	if err != nil {
		c.FileError(name, err)
		return 15
	}
	defer out.Close()
	w := zip.NewWriter(out)
	o := tarOptions{exclude: c.Values("x")}
	var add func(file string) error
	add = func(file string) error {
		info, err := os.Stat(c.Path(file))
		if err != nil || o.excluded(file) || c.Path(file) == c.Path(name) {
			return err
		}
		member := strings.TrimLeft(path.Clean(file), "/")
		if c.Has("j") {
			member = path.Base(file)
		}
		if info.IsDir() {
			if member != "." && !c.Has("j") {
				if _, err := w.Create(member + "/"); err != nil {
					return err
				}
			}
			if !c.Has("r") {
				return nil
			}
			entries, err := os.ReadDir(c.Path(file))
			for _, e := range entries {
				err = errors.Join(err, add(file+"/"+e.Name()))
			}
			return err
		}
		h, err := zip.FileInfoHeader(info)
		if err != nil {
			return err
		}
		h.Name, h.Method = member, zip.Deflate
		dst, err := w.CreateHeader(h)
		if err != nil {
			return err
		}
		in, err := c.Open(file)
		if err != nil {
			return err
		}
		defer in.Close()
		if !c.Has("q") {
			fmt.Fprintf(c.Out, "  adding: %s\n", member)
		}
		_, err = io.Copy(dst, in)
		return err
	}
	for _, file := range c.Args[1:] {
		if err := add(file); err != nil {
			c.FileError(file, err)
			return 12
		}
	}
	if err := w.Close(); err != nil {
		c.FileError(name, err)
		return 14
	}
	return 0
}

func runUnzip(c *tool.Call) int {
	if len(c.Args) == 0 {
		c.Errorf("an archive is needed")
		return 10
	}
	name := c.Args[0]
	data, err := readAll(c, name)
	if err != nil && path.Ext(name) == "" {
		data, err = readAll(c, name+".zip")
	}
	if err != nil {
		c.FileError(name, err)
		return 9
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		c.FileError(name, err)
		return 9
	}
	o := tarOptions{members: c.Args[1:]}
	var root *os.Root
	if !c.Has("l") && !c.Has("p") {
		dir := "."
		if c.Has("d") {
			dir = c.Value("d")
			if err := os.MkdirAll(c.Path(dir), 0o777); err != nil {
				c.FileError(dir, err)
				return 2
			}
		}
		if root, err = os.OpenRoot(c.Path(dir)); err != nil {
			c.FileError(dir, err)
			return 2
		}
		defer root.Close()
	}
	for _, f := range r.File {
		if !o.wanted(f.Name) {
			continue
		}
		if c.Has("l") {
			fmt.Fprintf(c.Out, "%9d  %s   %s\n", f.UncompressedSize64, f.Modified.UTC().Format("2006-01-02 15:04"), f.Name)
			continue
		}
		if err := unzipMember(c, root, f); err != nil {
			c.FileError(f.Name, err)
			return 3
		}
	}
	return 0
}

func unzipMember(c *tool.Call, root *os.Root, f *zip.File) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	if c.Has("p") {
		_, err := io.Copy(c.Out, in)
		return err
	}
	name := strings.Trim(path.Clean("/"+f.Name), "/")
	if c.Has("j") {
		name = path.Base(name)
	}
	if f.FileInfo().IsDir() {
		if c.Has("j") || name == "" {
			return nil
		}
		return root.MkdirAll(name, 0o755)
	}
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if _, err := root.Lstat(name); err == nil && !c.Has("o") {
		if c.Has("n") {
			return nil
		}
		return errors.New("already there; use -o to replace it or -n to keep it")
	}
	if !c.Has("q") {
		fmt.Fprintf(c.Out, "  inflating: %s\n", name)
	}
	return writeMember(root, name, f.FileInfo(), in)
}
