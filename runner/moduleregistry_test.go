package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
)

// moduleRegistry serves one module as the artifact tools/probe:1 (OCI distribution
// specification), and returns its host and its manifest's digest.
func moduleRegistry(t *testing.T, module string) (host, digest string) {
	t.Helper()
	of := func(data []byte) string {
		sum := sha256.Sum256(data)
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	config := []byte(`{"architecture":"wasm","os":"wasip1"}`)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": map[string]any{"mediaType": "application/vnd.wasm.config.v0+json", "digest": of(config), "size": len(config)},
		"layers": []any{map[string]any{"mediaType": "application/wasm", "digest": of([]byte(module)), "size": len(module)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	digest = of(manifest)
	files := map[string][]byte{
		"manifests/1": manifest, "manifests/" + digest: manifest,
		"blobs/" + of(config): config, "blobs/" + of([]byte(module)): []byte(module),
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/v2/tools/probe/")
		data, ok := files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(name, "manifests/") {
			w.Header().Set("Content-Type", manifestType)
			w.Header().Set("Docker-Content-Digest", digest)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(data)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), digest
}

// TestModuleRegistry uses a module of a registry.
func TestModuleRegistry(t *testing.T) {
	t.Parallel()
	host, digest := moduleRegistry(t, theProbe(t))
	const head = "on: push\njobs:\n  t:\n    runs-on: host\n    steps:\n"
	for _, c := range []jobtest.Case{
		{Name: "by its tag and by its digest", Workflow: head + `
      - uses: wasm://` + host + `/tools/probe:1
        with: {args: "env:INPUT_COLOR", color: red}
      - uses: wasm://` + host + `/tools/probe:1@` + digest + `
        with: {args: "again"}
`, Want: jobtest.Want{Result: "success", Steps: []string{"success", "success"}, Log: []string{
			"~^wasm://.*/tools/probe:1 → module sha256:[0-9a-f]{64} .*; to pin it: @" + digest, "INPUT_COLOR is red", "argument <again>",
		}}},
		{Name: "what an earlier step puts in its place", Workflow: head + `
      - uses: wasm://` + host + `/tools/probe:1
        with: {args: "list:${{ runner.temp }}/_modules write:${{ runner.temp }}/_modules/${{ env.SUM }}.wasm=evil"}
      - uses: wasm://` + host + `/tools/probe:1
        with: {args: "still mine"}
`, Want: jobtest.Want{Result: "success", Steps: []string{"success", "success"}, Log: []string{"argument <still>", "argument <mine>"}}},
		{Name: "another digest", Workflow: head + `
      - uses: wasm://` + host + `/tools/probe:1@sha256:` + strings.Repeat("0", 64) + `
`, Want: jobtest.Want{Result: "failure", Steps: []string{"skipped"}, Log: []string{"~has no such artifact; check name, tag and digest"}}},
	} {
		for _, kind := range []label.Scheme{label.Host, label.Wasm} {
			t.Run(c.Name+"/"+string(kind), func(t *testing.T) {
				t.Parallel()
				c := c
				sum := sha256.Sum256([]byte(theProbe(t)))
				c.Workflow = strings.Replace(c.Workflow, "on: push\n", "on: push\nenv: {SUM: "+hex.EncodeToString(sum[:])+"}\n", 1)
				r := newRecorders(&c)
				o := execOptions(t, &c, suiteConfig(t, t.TempDir()), r, nil)
				o.seams.wasm = moduleWasm(t)
				o.Labels = label.List{{Name: "host", Scheme: kind}}
				result, err := Exec(t.Context(), o)
				checkWorkflow(t, &c, result, err, r.outcomes(t))
			})
		}
	}
}
