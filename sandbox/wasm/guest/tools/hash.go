package tools

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

func hashTools() []*tool.Tool {
	var all []*tool.Tool
	for _, h := range []struct {
		name string
		new  func() hash.Hash
	}{{"md5sum", md5.New}, {"sha1sum", sha1.New}, {"sha224sum", sha256.New224}, {"sha256sum", sha256.New}, {"sha384sum", sha512.New384}, {"sha512sum", sha512.New}} {
		all = append(all, &tool.Tool{Name: h.name, Usage: "[OPTION]... [FILE]...", Short: "write or check checksums", Run: func(c *tool.Call) int { return checksum(c, h.new) }, Options: []tool.Option{
			{Short: 'c', Long: "check", Help: "check the sums in FILE"}, {Short: 'b', Long: "binary", Help: "accepted"}, {Short: 't', Long: "text", Help: "accepted"},
			{Long: "quiet", Help: "with -c: no OK"}, {Long: "status", Help: "with -c: only the exit status"}, {Long: "ignore-missing", Help: "with -c: pass over missing files"}, {Long: "strict", Help: "with -c: fail on lines of another form"}, {Short: 'w', Long: "warn", Help: "accepted"},
		}})
	}
	return append(all,
		&tool.Tool{Name: "base64", Usage: "[OPTION]... [FILE]", Short: "encode or decode base64", Run: runBase64, Options: []tool.Option{
			{Short: 'd', Long: "decode", Help: "decode"}, {Short: 'w', Long: "wrap", Arg: "N", Help: "line length (76); 0 for one line"}, {Short: 'i', Long: "ignore-garbage", Help: "pass over other characters"},
		}},
		&tool.Tool{Name: "crc32", Usage: "[FILE]...", Short: "write CRC-32 checksums", Run: func(c *tool.Call) int {
			return c.Inputs(c.Args, func(_ string, r io.Reader) error {
				h := crc32.NewIEEE()
				_, err := io.Copy(h, r)
				fmt.Fprintf(c.Out, "%08x\n", h.Sum32())
				return err
			})
		}},
	)
}

func checksum(c *tool.Call, newHash func() hash.Hash) int {
	if c.Has("c") {
		return checkSums(c, newHash)
	}
	return c.Inputs(c.Args, func(name string, r io.Reader) error {
		h := newHash()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
		mark := " "
		if c.Has("b") {
			mark = "*"
		}
		fmt.Fprintf(c.Out, "%x %s%s\n", h.Sum(nil), mark, name)
		return nil
	})
}

func checkSums(c *tool.Call, newHash func() hash.Hash) int {
	failed, missing, malformed, checked := 0, 0, 0, 0
	status := c.Inputs(c.Args, func(_ string, r io.Reader) error {
		return eachLine(r, '\n', func(line string, _ bool) bool {
			sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
			want, err := hex.DecodeString(sum)
			if !ok || err != nil || len(want) != newHash().Size() || name == "" {
				malformed++
				return true
			}
			name = strings.TrimLeft(name, " *")
			h := newHash()
			f, err := c.Open(name)
			if err == nil {
				_, err = io.Copy(h, f)
				f.Close()
			}
			result := "OK"
			switch {
			case err != nil && c.Has("ignore-missing"):
				return true
			case err != nil:
				c.FileError(name, err)
				missing++
				result = "FAILED open or read"
			case string(h.Sum(nil)) != string(want):
				failed++
				result = "FAILED"
			}
			checked++
			if !c.Has("status") && !(c.Has("quiet") && result == "OK") {
				fmt.Fprintf(c.Out, "%s: %s\n", name, result)
			}
			return true
		})
	})
	if checked == 0 {
		return c.Fail("no properly formatted checksum lines found")
	}
	if failed > 0 && !c.Has("status") {
		c.Errorf("WARNING: %d computed checksum did NOT match", failed)
	}
	if failed+missing > 0 || c.Has("strict") && malformed > 0 {
		return 1
	}
	return status
}

func runBase64(c *tool.Call) int {
	if len(c.Args) > 1 {
		return c.Fail("extra operand '%s'", c.Args[1])
	}
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if c.Has("d") {
			text := strings.Map(func(r rune) rune {
				ok := r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("+/=", r)
				if r == '\n' || r == '\r' || !ok && c.Has("i") {
					return -1
				}
				return r
			}, string(data))
			out, err := base64.StdEncoding.DecodeString(text)
			if err != nil && !strings.Contains(text, "=") {
				out, err = base64.RawStdEncoding.DecodeString(text)
			}
			c.Out.Write(out)
			if err != nil {
				return fmt.Errorf("invalid input")
			}
			return nil
		}
		wrap := atoi(c, "w", 76)
		text := base64.StdEncoding.EncodeToString(data)
		if wrap <= 0 {
			c.Out.WriteString(text)
			return nil
		}
		for len(text) > 0 {
			n := min(wrap, len(text))
			c.Out.WriteString(text[:n] + "\n")
			text = text[n:]
		}
		return nil
	})
}
