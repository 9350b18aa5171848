package wasmmodule_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"otelrunner/runner/action/wasmmodule"
)

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// registry is a registry of one repository, tools/lint, in this process (OCI
// distribution specification, the part that is read).
type registry struct {
	*httptest.Server
	user, password string // "" lets everybody read

	mu        sync.Mutex
	tags      map[string]string // to digests
	blobs     map[string][]byte // manifests and layers by their digest
	types     map[string]string // media types of manifests
	requests  []string
	corrupt   bool // blobs come with other bytes
	announced string
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{tags: map[string]string{}, blobs: map[string][]byte{}, types: map[string]string{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *registry) host() string { return strings.TrimPrefix(r.URL, "http://") }

// push stores an artifact and returns its manifest's digest.
func (r *registry) push(tag string, module []byte, change func(m map[string]any)) string {
	layer := map[string]any{"mediaType": "application/wasm", "digest": digest(module), "size": len(module)}
	config := []byte(`{"architecture":"wasm","os":"wasip1"}`)
	m := map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(config), "size": len(config)},
		"layers": []any{layer},
	}
	if change != nil {
		change(m)
	}
	data, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[digest(module)], r.blobs[digest(config)], r.blobs[digest(data)] = module, config, data
	r.types[digest(data)] = m["mediaType"].(string)
	r.tags[tag] = digest(data)
	return digest(data)
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	if user, password, _ := req.BasicAuth(); r.user != "" && (user != r.user || password != r.password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return
	}
	kind, what, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/tools/lint/"), "/")
	if d, ok := r.tags[what]; ok && kind == "manifests" {
		what = d
	}
	data, ok := r.blobs[what]
	if !ok {
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not there"}]}`, http.StatusNotFound)
		return
	}
	if kind == "manifests" {
		w.Header().Set("Content-Type", r.types[what])
	} else if r.corrupt {
		data = append([]byte("x"), data[1:]...)
	}
	if r.announced != "" && kind == "manifests" {
		what = r.announced
	}
	w.Header().Set("Docker-Content-Digest", what)
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	if req.Method != http.MethodHead {
		_, _ = w.Write(data)
	}
}

// asked returns what was asked since the last call.
func (r *registry) asked() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := strings.Join(r.requests, "\n")
	r.requests = nil
	return all
}

func newFetcher(t *testing.T, dir string, change func(*wasmmodule.Options)) *wasmmodule.Fetcher {
	t.Helper()
	o := wasmmodule.Options{Dir: dir}
	if change != nil {
		change(&o)
	}
	f, err := wasmmodule.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func fetch(t *testing.T, f *wasmmodule.Fetcher, uses string) (*wasmmodule.Module, error) {
	t.Helper()
	ref, err := wasmmodule.Parse(uses)
	if err != nil {
		t.Fatal(err)
	}
	return f.Fetch(context.WithoutCancel(t.Context()), ref)
}
