package tools

import (
	"io"

	"otelrunner/sandbox/wasm/guest/tool"
)

func textTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "cat", Usage: "[OPTION]... [FILE]...", Short: "write files one after the other", Run: cat},
	}
}

func cat(c *tool.Call) int {
	out := c.Stdout()
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		_, err := io.Copy(out, r)
		return err
	})
}
