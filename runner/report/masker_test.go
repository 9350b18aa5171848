package report_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"otelrunner/runner/report"
)

func TestMaskReplacesEveryForm(t *testing.T) {
	const secret = `p@ss/wörd&"quoted"<x> it's+a\secret`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]string{
		"plain":          secret,
		"base64":         base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 url":     base64.URLEncoding.EncodeToString([]byte(secret)),
		"basic auth":     base64.StdEncoding.EncodeToString([]byte("me:" + secret)),
		"basic auth 2":   base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		"with a newline": base64.StdEncoding.EncodeToString([]byte(secret + "\n")),
		"query":          url.QueryEscape(secret),
		"path":           url.PathEscape(secret),
		"userinfo":       url.UserPassword("u", secret).String(),
		"json":           string(quoted),
		"json loose":     `"p@ss/wörd&\"quoted\"<x> it's+a\\secret"`,
		"json slashes":   `"p@ss\/wörd&\"quoted\"<x> it's+a\\secret"`,
		"json ascii":     `"p@ss/w\u00f6rd&\"quoted\"<x> it's+a\\secret"`,
		"xml":            `p@ss/wörd&amp;"quoted"&lt;x&gt; it's+a\secret`,
		"shell":          `'p@ss/wörd&"quoted"<x> it'\''s+a\secret'`,
		"lower-case hex": strings.ToLower("%2F") + " " + "p%40ss%2fw%c3%b6rd%26%22quoted%22%3cx%3e%20it%27s%2ba%5csecret",
	}
	m := report.NewMasker(secret)
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			got := m.Mask("<" + form + ">")
			if !strings.Contains(got, report.Mask) {
				t.Errorf("Mask(%q) = %q", form, got)
			}
			// What may be left around the mask are the few characters that
			// the neighbours of the secret decide, too.
			if rest := strings.ReplaceAll(got, report.Mask, ""); len(rest) > 14 {
				t.Errorf("Mask(%q) = %q: too much is left", form, got)
			}
		})
	}
}

// A text that is cut where Cut says gives away no more than the whole.
func TestCut(t *testing.T) {
	m := report.NewMasker("secret-one", "one-and-two", "aaaabaaaab")
	for _, text := range []string{
		"", "x", strings.Repeat("x", 100), strings.Repeat("secret-one", 20), "x" + strings.Repeat("secret-one", 20),
		strings.Repeat("secret-one-and-two ", 9), strings.Repeat("aaaab", 30), "secret-on" + strings.Repeat("x", 50) + "secret-on",
	} {
		for n := 1; n <= len(text); n++ {
			head := text[:n]
			cut := m.Cut(head)
			if cut < 1 || cut > n {
				t.Fatalf("Cut(%q) = %d", head, cut)
			}
			if n < 64 { // shorter than twice the longest pattern: nothing is promised
				continue
			}
			whole, pieces := m.Mask(text), m.Mask(text[:cut])+m.Mask(text[cut:])
			squeeze := strings.NewReplacer(report.Mask+report.Mask, report.Mask)
			for strings.Contains(pieces, report.Mask+report.Mask) {
				pieces = squeeze.Replace(pieces)
			}
			if pieces != whole {
				t.Fatalf("%q cut at %d: %q, want %q", text, cut, pieces, whole)
			}
		}
	}
	if n := report.NewMasker().Cut("abc"); n != 3 {
		t.Errorf("without secrets: %d", n)
	}
}

func TestMaskWrappedBase64(t *testing.T) {
	secret := strings.Repeat("0123456789-abcdefghij-", 12)
	m := report.NewMasker(secret)
	for _, width := range []int{64, 76} {
		encoded := base64.StdEncoding.EncodeToString([]byte(secret + "\n"))
		for len(encoded) > width {
			if got := m.Mask(encoded[:width]); got != report.Mask {
				t.Errorf("width %d: Mask(%q) = %q", width, encoded[:width], got)
			}
			encoded = encoded[width:]
		}
	}
}

func TestMaskLinesOfASecret(t *testing.T) {
	m := report.NewMasker("-----BEGIN KEY-----\r\n  first+line/of/the/key\n{\n\nsecond-line\n}\n-----END KEY-----\n")
	for in, want := range map[string]string{
		"first+line/of/the/key": "***",
		"x second-line y":       "x *** y",
		"{ }":                   "{ }",
		`{"key":"second-line"}`: `{"key":"***"}`,
		"-----BEGIN KEY-----":   "***",
		base64.StdEncoding.EncodeToString([]byte("second-line")): "***=",
	} {
		if got := m.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMaskMultiLineTextWithShortLines(t *testing.T) {
	m := report.NewMasker("ab\ncd\nef")
	for in, want := range map[string]string{
		"x ab\ncd\nef y":     "x *** y",
		"x ab\r\ncd\r\nef y": "x *** y",
		`"ab\ncd\nef"`:       `"***"`,
		"ab%0Acd%0Aef":       "***",
		"ab cd ef":           "ab cd ef",
	} {
		if got := m.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMaskKeepsTheLogReadable(t *testing.T) {
	m := report.NewMasker()
	for _, v := range []string{"", " ", "\n\n", "1", "ab", "abc", "true", "False", "null", " 1 ", "----", "        ", "8080", "2026", "debug", "\t\r\n", "====="} {
		if m.Add(v) {
			t.Errorf("Add(%q) masks", v)
		}
	}
	const text = "true false null 1 ab abc 8080 2026-01-01 ---- ===== debug"
	if got := m.Mask(text); got != text {
		t.Errorf("Mask = %q", got)
	}
	for _, v := range []string{"abcd", "pässword", "123456", "a1b2", "trueish"} {
		if !m.Add(v) {
			t.Errorf("Add(%q) masks nothing", v)
		}
	}
}

func TestMaskOverlaps(t *testing.T) {
	m := report.NewMasker("abc123", "c123xyz-long-secret", "abc1", "tail")
	for in, want := range map[string]string{
		"abc123":                     "***",
		"abc123xyz-long-secret":      "***",
		"-abc123xyz-long-secretail-": "-***-",
		"abc1 abc12 abc123 abc1234":  "*** ***2 *** ***4",
		"abc123abc123":               "***",
		"abc":                        "abc",
		"":                           "",
	} {
		if got := m.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMaskDoesNotAllocateWithoutAMatch(t *testing.T) {
	m := report.NewMasker(manySecrets()...)
	if n := testing.AllocsPerRun(100, func() { m.Mask(plainRow) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzMask: nothing that was masked is in the output, wherever it stood.
func FuzzMask(f *testing.F) {
	f.Add("secret", "cretin", "a secret", "secretin")
	f.Add("abab", "baba", "ababab", "ab")
	f.Add("aaab", "baaa", "aaabaaa", "")
	f.Add("line one\nline two", "two\x00", "xline one", "line two")
	f.Add("ππππ", "\xff\xfe\xfd\xfc", "ππ", "ππ\xff\xfe\xfd\xfc")
	f.Fuzz(func(t *testing.T, a, b, x, y string) {
		// A mask may complete a value that has asterisks of its own; that
		// tells nothing.
		if strings.Contains(a+b, "*") {
			return
		}
		m := report.NewMasker()
		var secrets []string
		for _, s := range []string{a, b} {
			if m.Add(s) {
				secrets = append(secrets, strings.TrimSpace(s))
			}
		}
		for _, text := range []string{x + a + y, a + b, x + b + a + y, x + y, base64.StdEncoding.EncodeToString([]byte(a)), url.QueryEscape(b) + x} {
			got := m.Mask(text)
			for _, s := range secrets {
				if len(s) >= 4 && report.Maskable(s) && strings.Contains(got, s) {
					t.Errorf("Mask(%q) = %q contains %q", text, got, s)
				}
			}
			if again := m.Mask(got); !strings.Contains(got, report.Mask) && again != got {
				t.Errorf("Mask(%q) = %q, and again %q", text, got, again)
			}
		}
	})
}

const plainRow = "2026-08-01T12:00:00Z  [core] compiling package otelrunner/runner/report (12 files, 3.4 kB)"

func manySecrets() []string {
	secrets := []string{"ghp_0123456789abcdefghijklmnopqrstuvwxyz", "password", "hunter2!"}
	for i := range 10 {
		secrets = append(secrets, fmt.Sprintf("%040x", uint64(i+1)*0x9e3779b97f4a7c15), fmt.Sprintf("Secret-%d/with+odd&characters", i))
	}
	return secrets
}

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{1, 10, 23} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := report.NewMasker(manySecrets()[:n]...)
			b.SetBytes(int64(len(plainRow)))
			b.ReportAllocs()
			for b.Loop() {
				m.Mask(plainRow)
			}
		})
	}
	b.Run("long rows", func(b *testing.B) {
		m := report.NewMasker(manySecrets()...)
		text := strings.Repeat(plainRow, 500)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			m.Mask(text)
		}
	})
}
