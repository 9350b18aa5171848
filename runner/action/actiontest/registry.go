package actiontest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
)

// Digest is the digest of data as registries write it.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Registry is a registry of one repository, tools/lint, in this process (OCI
// distribution specification, the part that is read).
type Registry struct {
	*httptest.Server
	User, Password string // "" lets everybody read

	mu        sync.Mutex
	tags      map[string]string // to digests
	blobs     map[string][]byte // manifests and layers by their digest
	types     map[string]string // media types of manifests
	requests  []string
	Corrupt   bool   // blobs come with other bytes
	Announced string // what it calls the digest of a manifest; "" is the true one
}

// NewRegistry starts a registry on a loopback port; Close ends it.
func NewRegistry() *Registry {
	r := &Registry{tags: map[string]string{}, blobs: map[string][]byte{}, types: map[string]string{}}
	r.Server = httptest.NewServer(r)
	return r
}

// Host is its host and port, as references name it.
func (r *Registry) Host() string { return strings.TrimPrefix(r.URL, "http://") }

// Push stores an artifact and returns its manifest's digest.
func (r *Registry) Push(tag string, module []byte, change func(m map[string]any)) string {
	layer := map[string]any{"mediaType": "application/wasm", "digest": Digest(module), "size": len(module)}
	config := []byte(`{"architecture":"wasm","os":"wasip1"}`)
	m := map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.wasm.config.v0+json", "digest": Digest(config), "size": len(config)},
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
	r.blobs[Digest(module)], r.blobs[Digest(config)], r.blobs[Digest(data)] = module, config, data
	r.types[Digest(data)] = m["mediaType"].(string)
	r.tags[tag] = Digest(data)
	return Digest(data)
}

// PushImage stores a container image of one layer, a packed tar (gzip), for machines of
// this one's architecture, and returns its manifest's digest. diff is the digest of the
// tar. The image has no command.
func (r *Registry) PushImage(tag string, layer []byte, diff string) string {
	config := fmt.Appendf(nil, `{"architecture":%q,"os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q]}}`, runtime.GOARCH, diff)
	r.Push("config", config, nil)
	return r.Push(tag, layer, func(m map[string]any) {
		m["config"] = map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest(config), "size": len(config)}
		m["layers"].([]any)[0].(map[string]any)["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
	})
}

func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req.Method+" "+req.URL.Path)
	if user, password, _ := req.BasicAuth(); r.User != "" && (user != r.User || password != r.Password) {
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
	} else if r.Corrupt {
		data = append([]byte("x"), data[1:]...)
	}
	if r.Announced != "" && kind == "manifests" {
		what = r.Announced
	}
	w.Header().Set("Docker-Content-Digest", what)
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	if req.Method != http.MethodHead {
		_, _ = w.Write(data)
	}
}

// Asked returns what was asked since the last call.
func (r *Registry) Asked() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := strings.Join(r.requests, "\n")
	r.requests = nil
	return all
}
