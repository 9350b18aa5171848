package tools

import (
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

func runGzip(c *tool.Call) int {
	bz := strings.HasPrefix(c.Name, "b")
	ext := ".gz"
	if bz {
		ext = ".bz2"
	}
	unpack := c.Has("d") || c.Has("t") || strings.Contains(c.Name, "un") || strings.HasSuffix(c.Name, "cat")
	toOut := c.Has("c") || strings.HasSuffix(c.Name, "cat") || c.Has("t")
	if bz && !unpack {
		return c.Fail("this toolbox only decompresses bzip2; gzip compresses")
	}
	level := gzip.DefaultCompression
	if n, err := strconv.Atoi(c.Value("#")); err == nil {
		level = max(1, min(9, n))
	}
	convert := func(w io.Writer, r io.Reader) error {
		switch {
		case bz:
			_, err := io.Copy(w, bzip2.NewReader(r))
			return err
		case unpack:
			z, err := gzip.NewReader(r)
			if err != nil {
				return errors.New("not in gzip format")
			}
			_, err = io.Copy(w, z)
			return err
		}
		z, err := gzip.NewWriterLevel(w, level)
		if err != nil {
			return err
		}
		if _, err := io.Copy(z, r); err != nil {
			return err
		}
		return z.Close()
	}
	var out io.Writer = c.Out
	if c.Has("t") {
		out = io.Discard
	}
	if len(c.Args) == 0 || toOut {
		return c.Inputs(c.Args, func(_ string, r io.Reader) error { return convert(out, r) })
	}
	status := 0
	for _, name := range c.Args {
		if err := gzipFile(c, name, ext, unpack, convert); err != nil {
			c.FileError(name, err)
			status = 1
		}
	}
	return status
}

func gzipFile(c *tool.Call, name, ext string, unpack bool, convert func(io.Writer, io.Reader) error) error {
	if name == "-" {
		return convert(c.Out, c.Stdin)
	}
	to := name + ext
	if unpack {
		var ok bool
		if to, ok = strings.CutSuffix(name, ext); !ok {
			if to, ok = strings.CutSuffix(name, ".tgz"); !ok {
				return errors.New("unknown suffix -- ignored")
			}
			to += ".tar"
		}
	}
	if _, err := os.Stat(c.Path(to)); err == nil && !c.Has("f") {
		return fmt.Errorf("%s already exists; use -f", to)
	}
	in, err := c.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := c.Create(to)
	if err != nil {
		return err
	}
	err = convert(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(c.Path(to))
		return err
	}
	if !c.Has("k") {
		return os.Remove(c.Path(name))
	}
	return nil
}
