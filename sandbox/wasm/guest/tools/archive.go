package tools

import (
	"otelrunner/sandbox/wasm/guest/tool"
)

func archiveTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "gzip", Aliases: []string{"gunzip", "zcat"}, Usage: "[OPTION]... [FILE]...", Short: "compress or decompress files", Run: runGzip, Options: []tool.Option{
			{Short: 'd', Long: "decompress", Help: "decompress"}, {Short: 'c', Long: "stdout", Help: "to standard output"}, {Short: 'k', Long: "keep", Help: "keep the input"}, {Short: 'f', Long: "force", Help: "replace files"}, {Short: 't', Long: "test", Help: "only check"}, {Short: 'n', Long: "no-name", Help: "accepted"}, {Short: 'q', Long: "quiet", Help: "accepted"}, {Short: 'v', Long: "verbose", Help: "accepted"}, {Short: '#', Arg: "N", Help: "level 1 to 9"},
		}},
		{Name: "bzip2", Aliases: []string{"bunzip2", "bzcat"}, Usage: "-d [-c] [-k] [FILE]...", Short: "decompress bzip2 files", Run: runGzip, Options: []tool.Option{{Short: 'd', Long: "decompress", Help: "decompress"}, {Short: 'c', Long: "stdout", Help: "to standard output"}, {Short: 'k', Long: "keep", Help: "keep the input"}, {Short: 'f', Long: "force", Help: "replace files"}}, Notes: []string{"It cannot compress."}},
		{Name: "tar", Usage: "[cxt][OPTION]... [FILE]...", Short: "write, read and list archives", Raw: true, Run: runTar, Notes: []string{"Options: c x t f z j a v C -O k p --strip-components=N --exclude=GLOB -T FILE --wildcards. It reads gzip and bzip2 by itself; it writes gzip. Nothing is ever written outside the folder."}},
		{Name: "zip", Usage: "[-r] [-q] [-j] ARCHIVE FILE...", Short: "write a zip archive", Run: runZip, Options: []tool.Option{{Short: 'r', Help: "folders too"}, {Short: 'q', Help: "no messages"}, {Short: 'j', Help: "without folders' names"}, {Short: 'x', Arg: "GLOB", Help: "not these"}, {Short: '#', Arg: "N", Help: "accepted"}}, Notes: []string{"An archive that is there is replaced."}},
		{Name: "unzip", Usage: "[-o] [-q] [-l] [-p] [-d DIR] ARCHIVE [FILE]...", Short: "read a zip archive", Run: runUnzip, Options: []tool.Option{{Short: 'o', Help: "replace files"}, {Short: 'n', Help: "never replace files"}, {Short: 'q', Help: "no messages"}, {Short: 'l', Help: "list"}, {Short: 'p', Help: "to standard output"}, {Short: 'd', Arg: "DIR", Help: "into DIR"}, {Short: 'j', Help: "without folders' names"}}},
	}
}
