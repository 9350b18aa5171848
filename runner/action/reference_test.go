package action_test

import (
	"errors"
	"strings"
	"testing"

	"otelrunner/runner/action"
)

const sha40 = "11bd71901bbe5b1630ceea73d27597364c9af683"

func TestParse(t *testing.T) {
	bases := action.Bases{Default: "https://github.com", Instance: "http://git.example.com:3000/gitea"}
	tests := []struct {
		uses                 string
		kind                 action.Kind
		url, name, path, ref string
	}{
		{"actions/checkout@v4", action.Remote, "https://github.com/actions/checkout", "actions/checkout", "", "v4"},
		{" actions/checkout@v4 ", action.Remote, "https://github.com/actions/checkout", "actions/checkout", "", "v4"},
		{"actions/cache/save@v4.1.0", action.Remote, "https://github.com/actions/cache", "actions/cache", "save", "v4.1.0"},
		{"o/r/a/b/@main", action.Remote, "https://github.com/o/r", "o/r", "a/b", "main"},
		{"o/r@feature/x", action.Remote, "https://github.com/o/r", "o/r", "", "feature/x"},
		{"o/r@pkg@1.0", action.Remote, "https://github.com/o/r", "o/r", "", "pkg@1.0"},
		{"o/r@refs/tags/v1", action.Remote, "https://github.com/o/r", "o/r", "", "refs/tags/v1"},
		{"o/r@" + sha40, action.Remote, "https://github.com/o/r", "o/r", "", sha40},
		{"https://gitea.com/o/r@v1", action.Remote, "https://gitea.com/o/r", "o/r", "", "v1"},
		{"HTTPS://Gitea.COM/o/r/sub@v1", action.Remote, "https://gitea.com/o/r", "o/r", "sub", "v1"},
		{"http://git.example.com:3000/gitea/o/r/sub@v1", action.Remote, "http://git.example.com:3000/gitea/o/r", "o/r", "sub", "v1"},
		{"http://other.example.com:3000/gitea/o/r@v1", action.Remote, "http://other.example.com:3000/gitea/o", "gitea/o", "r", "v1"},
		{"https://gitlab.example.com/group/sub/r.git/path@v1", action.Remote, "https://gitlab.example.com/group/sub/r.git", "group/sub/r", "path", "v1"},
		{"https://u:secret@host.example.com/o/r@v1", action.Remote, "https://host.example.com/o/r", "o/r", "", "v1"},
		{"./", action.Local, "", "", "", ""},
		{"./.github/actions/x", action.Local, "", "", ".github/actions/x", ""},
		{"./a/../b/", action.Local, "", "", "b", ""},
		{"docker://alpine:3.20", action.Docker, "", "", "", ""},
		{"docker://ghcr.io/o/i@sha256:" + strings.Repeat("a", 64), action.Docker, "", "", "", ""},
		{"wasm://registry.example.com/tool:1", action.WASM, "", "", "", ""},
		{"wasm+https://host.example.com/t.wasm#sha256=00", action.WASM, "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.uses, func(t *testing.T) {
			r, err := action.Parse(tt.uses, bases)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{string(r.Kind), r.URL, r.Name, r.Path, r.Ref}
			want := []string{string(tt.kind), tt.url, tt.name, tt.path, tt.ref}
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("field %d of kind, URL, name, path, ref: got %q, want %q", i, got[i], want[i])
				}
			}
			if strings.Contains(r.String(), "secret") || strings.Contains(r.URL, "secret") {
				t.Errorf("the credentials show in %q or %q", r, r.URL)
			}
			if r.IsSHA() != (tt.ref == sha40) {
				t.Errorf("IsSHA = %v", r.IsSHA())
			}
		})
	}
}

func TestParseTargets(t *testing.T) {
	r, err := action.Parse("docker://alpine:3.20", action.Bases{})
	if err != nil || r.Target != "alpine:3.20" {
		t.Errorf("got %q, %v", r.Target, err)
	}
	r, err = action.Parse("wasm://./tool.wasm", action.Bases{})
	if err != nil || r.Target != "wasm://./tool.wasm" {
		t.Errorf("got %q, %v", r.Target, err)
	}
}

func TestParseDefaultURL(t *testing.T) {
	for base, want := range map[string]string{
		"":                          "https://github.com/o/r",
		"https://gitea.com/":        "https://gitea.com/o/r",
		"gitea.com":                 "https://gitea.com/o/r",
		"http://host:3000/sub/path": "http://host:3000/sub/path/o/r",
	} {
		r, err := action.Parse("o/r@v1", action.Bases{Default: base})
		if err != nil || r.URL != want {
			t.Errorf("default %q: got %q, %v; want %q", base, r.URL, err, want)
		}
	}
	if _, err := action.Parse("o/r@v1", action.Bases{Default: "ftp://x"}); err == nil || !strings.Contains(err.Error(), "DEFAULT_ACTIONS_URL") {
		t.Errorf("a default of another scheme: %v", err)
	}
}

func TestParseErrors(t *testing.T) {
	for uses, want := range map[string]string{
		"":                                "is empty",
		"actions/checkout":                "has no @ref",
		"actions/checkout@":               "ends after the '@'",
		"actions/checkout@a b":            "cannot be the name of a tag",
		"actions/checkout@a..b":           "cannot be the name of a tag",
		"actions/checkout@-x~1":           "cannot be the name of a tag",
		"checkout@v4":                     "has no owner",
		"o/r/../x@v1":                     "has '..' in its path",
		"o//x@v1":                         "has an empty part",
		"o/r:x@v1":                        `has "r:x"`,
		"o p/r@v1":                        `has "o p"`,
		"../x":                            "starts with ./",
		"./../x":                          "leaves the workspace",
		"/abs":                            "starts with ./",
		"docker://":                       "names no image",
		"wasm://":                         "names no module",
		"ssh://host/o/r@v1":               "unknown scheme",
		"https://host/o@v1":               "has no owner and repository",
		"https://host@v1":                 "has no @ref",
		"https:///o/r@v1":                 "is not a URL with a host",
		"https://host/o/r":                "has no @ref",
		"https://host/o/../r@v1":          "has '..'",
		"https://host/o/%2e%2e/r@v1":      "holds a character",
		"https://host/o/r?x=1@v1":         "holds a character",
		"o/${{ matrix.repo }}@v1":         "holds an expression",
		"https://h/o/r@${{ matrix.ref }}": "holds an expression",
	} {
		_, err := action.Parse(uses, action.Bases{Default: "https://github.com"})
		var re *action.ReferenceError
		if !errors.As(err, &re) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", uses, err, want)
		}
	}
	_, err := action.Parse("https://user:hunter2@host/o/r", action.Bases{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an error with the password: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"o/r@v1", "o/r/p@x@y", "https://u:p@h:1/a/b.git/c@v", "./x/../y", "docker://a", "wasm://x", "http://[::1]:80/o/r@v", "@", "a@b@c://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := action.Parse(s, action.Bases{Default: "https://h/s", Instance: "http://[::1]/a"})
		if err != nil {
			return
		}
		for seg := range strings.SplitSeq(r.Path, "/") {
			if seg == ".." {
				t.Errorf("%q gives the path %q", s, r.Path)
			}
		}
		if r.Kind == action.Remote && (r.URL == "" || r.Ref == "" || strings.Count(r.URL, "/") < 4) {
			t.Errorf("%q gives %+v", s, r)
		}
	})
}
