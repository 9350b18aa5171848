package label_test

import (
	"strings"
	"testing"

	"otelrunner/runner/label"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want label.Label
		err  string // a part of the message; "" = none
	}{
		{"linux:host", label.Label{Name: "linux", Scheme: label.Host}, ""},
		{"linux", label.Label{Name: "linux", Scheme: label.Host}, ""},
		{"  linux:host ", label.Label{Name: "linux", Scheme: label.Host}, ""},
		{"a:b", label.Label{Name: "a:b", Scheme: label.Host}, ""},
		{"a:b:host", label.Label{Name: "a:b", Scheme: label.Host}, ""},
		{"pool:e-57:wasm", label.Label{Name: "pool:e-57", Scheme: label.Wasm}, ""},
		{"w:wasm://strict", label.Label{Name: "w", Scheme: label.Wasm, Arg: "strict"}, ""},
		{"u:docker://node:22", label.Label{Name: "u", Scheme: label.Docker, Arg: "node:22"}, ""},
		{"u:docker://reg:5000/a/b@sha256:00", label.Label{Name: "u", Scheme: label.Docker, Arg: "reg:5000/a/b@sha256:00"}, ""},
		{"a:b:docker://x", label.Label{Name: "a:b", Scheme: label.Docker, Arg: "x"}, ""},
		{"docker:host", label.Label{Name: "docker", Scheme: label.Host}, ""},
		{"hosted", label.Label{Name: "hosted", Scheme: label.Host}, ""},
		{"", label.Label{}, "no name"},
		{":host", label.Label{}, "no name"},
		{"docker://x", label.Label{}, "no name"},
		{"u:docker", label.Label{}, "u:docker://IMAGE"},
		{"u:docker://", label.Label{}, "names no image"},
		{"u:dokcer://x", label.Label{}, `unknown scheme "dokcer"`},
		{"u:host://x", label.Label{}, "host takes nothing"},
		{"a,b:host", label.Label{}, "commas"},
		{"u:docker://a b", label.Label{}, "space"},
	} {
		got, err := label.Parse(c.text)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("Parse(%q): error %v, want one with %q", c.text, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", c.text, got, err, c.want)
		}
		if again, err := label.Parse(got.String()); err != nil || again != got {
			t.Errorf("Parse(%q.String() = %q) = %+v, %v", c.text, got.String(), again, err)
		}
	}
}

func TestParseList(t *testing.T) {
	list, err := label.ParseList([]string{"a:host", "", "b:docker://img:1", "a:host"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a", "b"}, list.Names()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a:host", "b:docker://img:1"}, list.Strings()); d != "" {
		t.Error(d)
	}
	if _, err := label.ParseList([]string{"a:host", "a:wasm"}); err == nil || !strings.Contains(err.Error(), "already taken") {
		t.Errorf("one name in two schemes: %v", err)
	}
}

func TestPick(t *testing.T) {
	list, err := label.ParseList([]string{"a:host", "b:docker://img", "c:wasm"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		runsOn []string
		want   string
		err    string
	}{
		{[]string{"b"}, "b:docker://img", ""},
		{[]string{"c", "b", "a"}, "c:wasm", ""},
		{[]string{"b", "gpu"}, "", `"gpu"`},
		{[]string{"B"}, "", `does not carry`},
		{nil, "", "no runs-on"},
	} {
		got, err := list.Pick(c.runsOn)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("Pick(%q): error %v, want one with %q", c.runsOn, err, c.err)
			}
			continue
		}
		if err != nil || got.String() != c.want {
			t.Errorf("Pick(%q) = %v, %v; want %s", c.runsOn, got, err, c.want)
		}
	}
}

// What is a label stays that label when it is written down and read again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a", "a:b:host", "u:docker://r:5000/i:t", "w:wasm://x", "u:dokcer://x", "://", "a:docker", ":", "é:host"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := label.Parse(text)
		if err != nil {
			return
		}
		if again, err := label.Parse(l.String()); err != nil || again != l {
			t.Errorf("%q: %+v is written as %q and read as %+v, %v", text, l, l.String(), again, err)
		}
	})
}
