package job

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"otelrunner/runner/report"
)

// collect feeds the pieces and returns the lines; pieces of a long line are
// joined.
func collect(pieces ...[]byte) []string {
	var lines []string
	w := lineWriter{emit: func(line []byte, rest bool) {
		if rest {
			lines[len(lines)-1] += string(line)
			return
		}
		lines = append(lines, string(line))
	}}
	for _, p := range pieces {
		_, _ = w.Write(p)
	}
	w.Close()
	return lines
}

func TestLines(t *testing.T) {
	long := strings.Repeat("é", maxLine)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"a", []string{"a"}},
		{"a\nb\n", []string{"a", "b"}},
		{"\n\na\n", []string{"", "", "a"}},
		{"a\r\nb\r\n", []string{"a", "b"}},
		{"\r\n", []string{""}},
		{"1%\r2%\r3%\n", []string{"1%", "2%", "3%"}},
		{"\r1%\r2%\n", []string{"1%", "2%"}},
		{"a\r\r\nb", []string{"a", "", "b"}},
		{"\r\r\r", nil},
		{"a\r", []string{"a"}},
		{long + "\nx", []string{long, "x"}},
		{"x" + long, []string{"x" + long}},
	} {
		if got := collect([]byte(c.in)); !slices.Equal(got, c.want) {
			t.Errorf("%.40q: got %.200q, want %.200q", c.in, got, c.want)
		}
		if len(c.in) > 1000 {
			continue
		}
		bytewise := make([][]byte, 0, len(c.in))
		for i := range len(c.in) {
			bytewise = append(bytewise, []byte{c.in[i]})
		}
		if got := collect(bytewise...); !slices.Equal(got, c.want) {
			t.Errorf("%.40q byte by byte: got %.200q, want %.200q", c.in, got, c.want)
		}
	}
}

func TestLongLinesComeInPieces(t *testing.T) {
	var sizes []int
	w := lineWriter{emit: func(line []byte, rest bool) {
		if rest != (len(sizes) > 0) {
			t.Errorf("piece %d: rest = %v", len(sizes), rest)
		}
		if !utf8.Valid(line) {
			t.Errorf("piece %d cuts a rune", len(sizes))
		}
		sizes = append(sizes, len(line))
	}}
	_, _ = w.Write([]byte("x" + strings.Repeat("日", maxLine) + "\n"))
	total := 0
	for _, n := range sizes {
		if n > maxLine {
			t.Errorf("a piece has %d bytes", n)
		}
		total += n
	}
	if total != 1+3*maxLine || len(sizes) < 4 {
		t.Errorf("%d bytes in %d pieces", total, len(sizes))
	}
}

// Where a long line is cut is the sink's to say, and NUL bytes do not hide a
// secret from it.
func TestLongLinesAreCutBetweenSecrets(t *testing.T) {
	const secret = "0123456789abcdef"
	m := report.NewMasker(secret)
	for _, nul := range []bool{false, true} {
		for _, before := range []int{maxLine - 1, maxLine - 8, maxLine - 15, maxLine - 16, maxLine, 2*maxLine - 30} {
			var out strings.Builder
			w := lineWriter{
				emit: func(line []byte, _ bool) { out.WriteString(m.Mask(strings.ReplaceAll(string(line), "\x00", ""))) },
				cut:  func(line []byte) int { return m.Cut(string(line)) },
			}
			text := strings.Repeat("x", before) + secret + strings.Repeat("y", maxLine) + "\n"
			if nul {
				text = strings.ReplaceAll(text, "", "\x00")
			}
			for piece := range slices.Chunk([]byte(text), 32<<10) {
				_, _ = w.Write(piece)
			}
			if want := strings.Repeat("x", before) + "***" + strings.Repeat("y", maxLine); out.String() != want {
				t.Errorf("%d before (NULs: %v): got %d bytes, want %d", before, nul, out.Len(), len(want))
			}
		}
	}
}

// FuzzLines: where the pieces are cut does not change the lines, and no byte but
// line ends is lost.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "a\nb", "a\r\nb\r", "\r\r\n\n", "é\r\xff\n::x::"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		whole := collect(in)
		var pieces [][]byte
		for p := range slices.Chunk(in, int(size)+1) {
			pieces = append(pieces, p)
		}
		if got := collect(pieces...); !slices.Equal(got, whole) {
			t.Fatalf("pieces of %d: %q, whole: %q", int(size)+1, got, whole)
		}
		strip := func(b []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\n"), nil), []byte("\r"), nil)
		}
		if got := strings.Join(whole, ""); got != string(strip(in)) {
			t.Fatalf("%q became %q", in, got)
		}
	})
}

func BenchmarkLines(b *testing.B) {
	chunk := bytes.Repeat([]byte("a row of a usual length, as compilers print them by the thousand\n"), 500)
	rows := 0
	w := lineWriter{emit: func([]byte, bool) { rows++ }}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(chunk)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
