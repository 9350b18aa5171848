package cache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const week = 7 * 24 * time.Hour

func testOptions(t *testing.T) Options {
	t.Helper()
	return Options{Dir: t.TempDir(), MaxSize: 64 << 20, Keep: week, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func openStore(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client speaks to a door as a step does.
type client struct {
	t   *testing.T
	url string
}

func scopeOf(repository string, refs ...string) Scope {
	return Scope{Server: "https://git.example.com", Repository: repository, Write: refs[0], Read: refs}
}

func openDoor(t *testing.T, s *Store, scope Scope) (*Door, *client) {
	t.Helper()
	d := s.OpenDoor(DoorOptions{Scope: scope})
	t.Cleanup(d.Close)
	address, err := d.Listen()
	if err != nil {
		t.Fatal(err)
	}
	return d, &client{t, d.URL(address)}
}

// ask sends a request below _apis/artifactcache/; a body that is no string or bytes is
// sent as JSON.
func (c *client) ask(method, path string, body any, headers ...string) (status int, answer []byte, of http.Header) {
	c.t.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	case []byte:
		data = b
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			c.t.Fatal(err)
		}
	}
	at := path
	if !strings.HasPrefix(path, "http") {
		at = c.url + "_apis/artifactcache/" + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, at, bytes.NewReader(data))
	if err != nil {
		c.t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, answer, resp.Header
}

// reserve returns the status, and the number of the upload where that is 201.
func (c *client) reserve(key, version string, size int64) (status, id int) {
	c.t.Helper()
	status, data, _ := c.ask(http.MethodPost, "caches", map[string]any{"key": key, "version": version, "cacheSize": size})
	var out struct {
		ID int `json:"cacheId"`
	}
	if status == http.StatusCreated && (json.Unmarshal(data, &out) != nil || out.ID == 0) {
		c.t.Fatalf("reserve: %s", data)
	}
	return status, out.ID
}

func (c *client) chunk(id int, from int64, data []byte) int {
	c.t.Helper()
	status, _, _ := c.ask(http.MethodPatch, fmt.Sprint("caches/", id), data, "Content-Range", fmt.Sprintf("bytes %d-%d/*", from, from+int64(len(data))-1))
	return status
}

func (c *client) commit(id int, size int) int {
	c.t.Helper()
	status, _, _ := c.ask(http.MethodPost, fmt.Sprint("caches/", id), map[string]int{"size": size})
	return status
}

// save saves an entry, which has to succeed.
func (c *client) save(key, version, content string) {
	c.t.Helper()
	status, id := c.reserve(key, version, int64(len(content)))
	if status != http.StatusCreated {
		c.t.Fatalf("reserve %s: %d", key, status)
	}
	if status := c.chunk(id, 0, []byte(content)); status != http.StatusNoContent {
		c.t.Fatalf("a chunk of %s: %d", key, status)
	}
	if status := c.commit(id, len(content)); status != http.StatusNoContent {
		c.t.Fatalf("commit %s: %d", key, status)
	}
}

// find returns the key that a lookup gives, and where the content is; "" is a miss.
func (c *client) find(keys, version string) (key, location string) {
	c.t.Helper()
	status, data, _ := c.ask(http.MethodGet, "cache?"+url.Values{"keys": {keys}, "version": {version}}.Encode(), nil)
	if status == http.StatusNoContent && len(data) == 0 {
		return "", ""
	}
	var out struct{ Result, ArchiveLocation, CacheKey string }
	if err := json.Unmarshal(data, &out); status != http.StatusOK || err != nil || out.Result != "hit" {
		c.t.Fatalf("find %s: %d, %s", keys, status, data)
	}
	return out.CacheKey, out.ArchiveLocation
}

// content is what a lookup leads to; "" is a miss.
func (c *client) content(keys, version string) string {
	c.t.Helper()
	_, location := c.find(keys, version)
	if location == "" {
		return ""
	}
	status, data, _ := c.ask(http.MethodGet, location, nil)
	if status != http.StatusOK {
		c.t.Fatalf("download %s: %d", keys, status)
	}
	return string(data)
}
