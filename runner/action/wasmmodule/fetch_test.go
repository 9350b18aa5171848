package wasmmodule_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/action/actiontest"
	"otelrunner/runner/action/wasmmodule"
)

var module = []byte("\x00asm\x01\x00\x00\x00 and more")

func TestParse(t *testing.T) {
	hex := strings.Repeat("a1", 32)
	for uses, want := range map[string]wasmmodule.Reference{
		"wasm://./tools/lint.wasm":                                {Path: "tools/lint.wasm"},
		"wasm://./a/../b.wasm":                                    {Path: "b.wasm"},
		"wasm://reg.example/tools/lint:1.2":                       {Tag: "1.2"},
		"WASM://reg.example:5000/lint:1":                          {Tag: "1"},
		"wasm://reg.example/lint@sha256:" + hex:                   {Digest: "sha256:" + hex},
		"wasm://reg.example/lint:1@sha256:" + hex:                 {Tag: "1", Digest: "sha256:" + hex},
		"wasm+https://h.example/a.wasm#sha256=" + hex:             {URL: "https://h.example/a.wasm", Digest: "sha256:" + hex},
		"wasm+https://h.example/a?b=c#sha256=" + hex:              {URL: "https://h.example/a?b=c", Digest: "sha256:" + hex},
		"wasm+https://h.example/a#sha256=" + strings.ToUpper(hex): {URL: "https://h.example/a", Digest: "sha256:" + hex},
		"wasm://localhost/lint:1":                                 {Tag: "1"},
	} {
		got, err := wasmmodule.Parse(uses)
		if err != nil || got.Path != want.Path || got.Tag != want.Tag || got.Digest != want.Digest || got.URL != want.URL || got.String() != uses {
			t.Errorf("%s: %+v, %v", uses, got, err)
		}
	}
	for uses, want := range map[string]string{
		"wasm://lint:1":                                   "names no registry",
		"wasm://tools/lint:1":                             "names no registry",
		"wasm://reg.example/lint":                         "names no version",
		"wasm://reg.example:5000/lint":                    "names no version",
		"wasm://reg.example/lint@sha256:abc":              "is no digest",
		"wasm://reg.example/lint@" + hex:                  "is no digest",
		"wasm://reg.example/lint@sha512:" + hex:           "is no digest",
		"wasm://reg.example/LINT:1":                       "is no reference",
		"wasm://reg.example/lint:a b":                     "is no reference",
		"wasm://../up.wasm":                               "leaves the workspace",
		"wasm://./../up.wasm":                             "leaves the workspace",
		"wasm:///etc/x.wasm":                              "leaves the workspace",
		"wasm://./":                                       "no file in it",
		"wasm+https://h.example/a.wasm":                   "has no hash",
		"wasm+https://h.example/a.wasm#sha256=12":         "has no hash",
		"wasm+https://h.example/a.wasm#" + hex:            "has no hash",
		"wasm+https:///a.wasm#sha256=" + hex:              "is not an address",
		"wasm+https://u:secret@h.example/a#sha256=" + hex: "has credentials",
		"https://h.example/a.wasm":                        "names no module",
	} {
		_, err := wasmmodule.Parse(uses)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", uses, err, want)
		}
	}
}

func TestArtifact(t *testing.T) {
	r := newRegistry(t)
	pin := r.Push("1", module, nil)
	dir := t.TempDir()
	f := newFetcher(t, dir, nil)
	tagged, pinned := "wasm://"+r.Host()+"/tools/lint:1", "wasm://"+r.Host()+"/tools/lint:1@"+pin

	m, err := fetch(t, f, tagged)
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.Read()
	if err != nil || !bytes.Equal(data, module) || m.Cached || m.Digest != actiontest.Digest(module) || m.Manifest != pin {
		t.Errorf("%q, %v, %+v", data, err, m)
	}
	if line := m.String(); !strings.Contains(line, "fetched in") || !strings.Contains(line, "to pin it: @"+pin) {
		t.Errorf("log line %q", line)
	}
	r.Asked()
	if m, err = fetch(t, f, pinned); err != nil || !m.Cached {
		t.Errorf("pinned, cached: %+v, %v", m, err)
	}
	if asked := r.Asked(); asked != "" {
		t.Errorf("a pinned module that is cached asks the registry: %s", asked)
	}
	if m, err = fetch(t, f, tagged); err != nil || !m.Cached {
		t.Errorf("tag, cached: %+v, %v", m, err)
	}
	if asked := r.Asked(); strings.Contains(asked, "blobs") || !strings.Contains(asked, "manifests/1") {
		t.Errorf("a tag whose module is cached asks %q", asked)
	}
	// The tag moves: what is cached is not taken for it.
	other := append([]byte(nil), append(module, 'x')...)
	r.Push("1", other, nil)
	if m, err = fetch(t, f, tagged); err != nil || m.Digest != actiontest.Digest(other) {
		t.Errorf("moved tag: %+v, %v", m, err)
	}
	// Without a server, what is pinned runs, and a tag does not.
	r.Close()
	if _, err := fetch(t, f, pinned); err != nil {
		t.Errorf("pinned, no server: %v", err)
	}
	if _, err := fetch(t, f, tagged); err == nil {
		t.Error("a tag was taken from the cache")
	}
}

func TestArtifactRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		module []byte
		change func(m map[string]any)
		server func(r *actiontest.Registry)
		uses   string // after the repository
		want   string
	}{
		{name: "unknown tag", uses: ":2", want: "has no such artifact"},
		{name: "unknown digest", uses: "@sha256:" + strings.Repeat("0", 64), want: "has no such artifact"},
		{name: "an image", change: func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
		}, want: "holds no WebAssembly module"},
		{name: "two modules", change: func(m map[string]any) {
			m["layers"] = append(m["layers"].([]any), m["layers"].([]any)[0])
		}, want: "more than one"},
		{name: "no layers", change: func(m map[string]any) { m["layers"] = []any{} }, want: "found none"},
		{name: "an index", change: func(m map[string]any) {
			m["mediaType"] = "application/vnd.oci.image.index.v1+json"
			delete(m, "layers")
			delete(m, "config")
		}, want: "list of artifacts"},
		{name: "other bytes", server: func(r *actiontest.Registry) { r.Corrupt = true }, want: "nothing of it was used"},
		{name: "another size", change: func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["size"] = 3
		}, want: ""},
		{name: "a false digest", server: func(r *actiontest.Registry) { r.Announced = "sha256:" + strings.Repeat("0", 64) }, want: ""},
		{name: "too large", module: make([]byte, 5000), want: "more than the 4096 bytes"},
		{name: "too large, and lies", module: make([]byte, 5000), change: func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["size"] = 100
		}, want: ""},
		{name: "another hash", change: func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["digest"] = "sha512:" + strings.Repeat("0", 128)
		}, want: "only SHA-256"},
		{name: "a path for a digest", change: func(m map[string]any) {
			m["layers"].([]any)[0].(map[string]any)["digest"] = "sha256:../../../../x"
		}, want: "only SHA-256"},
		{name: "private", server: func(r *actiontest.Registry) { r.User = "u" }, want: "does not let the runner read it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t)
			if c.module == nil {
				c.module = module
			}
			r.Push("1", c.module, c.change)
			if c.server != nil {
				c.server(r)
			}
			if c.uses == "" {
				c.uses = ":1"
			}
			dir := t.TempDir()
			f := newFetcher(t, dir, func(o *wasmmodule.Options) { o.MaxModule = 4096 })
			m, err := fetch(t, f, "wasm://"+r.Host()+"/tools/lint"+c.uses)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v, want %q", m, err, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, "sha256", strings.TrimPrefix(actiontest.Digest(c.module), "sha256:"))); err == nil {
				t.Error("the module is in the cache")
			}
			left, _ := filepath.Glob(filepath.Join(dir, "sha256", ".new-*"))
			if len(left) > 0 {
				t.Errorf("files are left: %v", left)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	r := newRegistry(t)
	r.User, r.Password = "me", "pass"
	r.Push("1", module, nil)
	f := newFetcher(t, t.TempDir(), func(o *wasmmodule.Options) {
		o.Credentials = func(_ context.Context, host string) (string, string, error) {
			if host != r.Host() {
				return "", "", nil
			}
			return "me", "pass", nil
		}
	})
	if _, err := fetch(t, f, "wasm://"+r.Host()+"/tools/lint:1"); err != nil {
		t.Error(err)
	}
}

func TestTampered(t *testing.T) {
	r := newRegistry(t)
	pin := r.Push("1", module, nil)
	dir := t.TempDir()
	f := newFetcher(t, dir, nil)
	uses := "wasm://" + r.Host() + "/tools/lint@" + pin
	m, err := fetch(t, f, uses)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sha256", m.Hex())
	if err := os.WriteFile(file, []byte("evil"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := m.Read(); err == nil || data != nil {
		t.Errorf("what was changed is read: %q", data)
	}
	if m, err = fetch(t, f, uses); err != nil || m.Cached {
		t.Fatalf("%+v, %v: what was changed counts as cached", m, err)
	}
	if data, err := m.Read(); err != nil || !bytes.Equal(data, module) {
		t.Errorf("%q, %v", data, err)
	}
}

func TestFile(t *testing.T) {
	status := http.StatusOK
	var plain *httptest.Server
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/tool.wasm":
			w.WriteHeader(status)
			_, _ = w.Write(module)
		case "/moved":
			http.Redirect(w, req, "/tool.wasm", http.StatusFound)
		case "/down":
			http.Redirect(w, req, plain.URL+"/tool.wasm", http.StatusFound)
		default:
			http.NotFound(w, req)
		}
	}))
	t.Cleanup(server.Close)
	plain = httptest.NewServer(server.Config.Handler)
	t.Cleanup(plain.Close)
	f := newFetcher(t, t.TempDir(), func(o *wasmmodule.Options) {
		o.Transport = server.Client().Transport
		o.MaxModule = 100
	})
	base := "wasm+" + server.URL
	hash := "#sha256=" + strings.TrimPrefix(actiontest.Digest(module), "sha256:")
	for _, c := range []struct{ uses, want string }{
		{base + "/none" + hash, "404"},
		{base + "/tool.wasm#sha256=" + strings.Repeat("0", 64), "nothing of it was used"},
		{base + "/down" + hash, "not encrypted"},
		{base + "/moved" + hash, ""},
		{base + "/tool.wasm" + hash, ""},
	} {
		m, err := fetch(t, f, c.uses)
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.uses, err, c.want)
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.uses, err)
		case c.want == "":
			if data, err := m.Read(); err != nil || !bytes.Equal(data, module) {
				t.Errorf("%s: %q, %v", c.uses, data, err)
			}
		}
	}
	server.Close()
	if m, err := fetch(t, f, base+"/tool.wasm"+hash); err != nil || !m.Cached {
		t.Errorf("no server, cached: %+v, %v", m, err)
	}
}

func TestFetchCancelled(t *testing.T) {
	stop := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		cancel(stop)
		<-req.Context().Done()
	}))
	defer server.Close()
	f := newFetcher(t, t.TempDir(), func(o *wasmmodule.Options) { o.Transport = server.Client().Transport })
	ref, err := wasmmodule.Parse("wasm+" + server.URL + "/a#sha256=" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fetch(ctx, ref); !errors.Is(err, stop) {
		t.Errorf("%v, want the cause", err)
	}
	f = newFetcher(t, t.TempDir(), func(o *wasmmodule.Options) {
		o.Transport, o.Timeout = server.Client().Transport, 50*time.Millisecond
	})
	if _, err := f.Fetch(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "within 50ms") {
		t.Errorf("%v, want the timeout", err)
	}
}

func TestCollect(t *testing.T) {
	r := newRegistry(t)
	dir := t.TempDir()
	f := newFetcher(t, dir, func(o *wasmmodule.Options) { o.MaxBytes = 8000 })
	var last *wasmmodule.Module
	for i := range 10 {
		m := append(bytes.Repeat([]byte{byte(i)}, 3000), module...)
		tag := string(rune('a' + i))
		r.Push(tag, m, nil)
		var err error
		if last, err = fetch(t, f, "wasm://"+r.Host()+"/tools/lint:"+tag); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(time.Duration(i-100) * time.Minute)
		entries, _ := os.ReadDir(filepath.Join(dir, "sha256"))
		for _, e := range entries {
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) < time.Minute {
				_ = os.Chtimes(filepath.Join(dir, "sha256", e.Name()), old, old)
			}
		}
	}
	total := int64(0)
	entries, err := os.ReadDir(filepath.Join(dir, "sha256"))
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			total += info.Size()
		}
	}
	if err != nil || total > 8000 || total < 3000 {
		t.Errorf("the cache holds %d bytes, %v", total, err)
	}
	if _, err := last.Read(); err != nil {
		t.Errorf("the last one is gone: %v", err)
	}
}
