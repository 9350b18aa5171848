package container

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPruneImages: what was not used for a week goes, and what is more than is kept,
// the longest unused first; nothing of anybody else.
func TestPruneImages(t *testing.T) {
	type described struct {
		RepoTags []string
		Created  int64
	}
	now := time.Now()
	list := []described{{[]string{"somebody:1"}, 0}}
	used := map[string]time.Time{}
	add := func(name string, ago time.Duration) {
		list = append(list, described{[]string{actionRepository + ":" + name, "mine:" + name}, now.Add(-1000 * time.Hour).Unix()})
		used[actionRepository+":"+name] = now.Add(-ago)
	}
	add("week", keptTime+time.Minute)
	add("young", keptTime-time.Hour)
	for i := range keptImages + 1 { // two more than are kept, with young
		add(fmt.Sprintf("n%02d", i), time.Duration(i)*time.Minute)
	}
	var removed []string
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Skipf("SKIP a socket: %v", err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, path, _ := strings.Cut(r.URL.Path, "/images/")
		switch {
		case path == "json":
			if !strings.Contains(r.URL.Query().Get("filters"), actionLabel) {
				t.Errorf("all images are asked for: %s", r.URL)
			}
			_ = json.NewEncoder(w).Encode(list)
		case r.Method == http.MethodDelete:
			removed = append(removed, path)
			_, _ = w.Write([]byte("[]"))
		case strings.HasSuffix(path, "/json"):
			_ = json.NewEncoder(w).Encode(map[string]any{"Metadata": map[string]any{"LastTagTime": used[strings.TrimSuffix(path, "/json")]}})
		default:
			w.Header().Set("Api-Version", "1.41")
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // until Close
	}()
	defer func() {
		_ = server.Close()
		<-done
	}()
	p, err := New(Options{Host: "unix://" + socket, Helper: func(string) ([]byte, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(t.Context()) }()
	p.pruneImages(t.Context())
	slices.Sort(removed)
	equal(t, "removed", removed, []string{actionRepository + ":n50", actionRepository + ":week", actionRepository + ":young"})
}
