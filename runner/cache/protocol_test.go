package cache

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestSaveAndRestore goes the way of a client, with parallel chunks in any order, and
// downloads in parallel ranges.
func TestSaveAndRestore(t *testing.T) {
	t.Parallel()
	_, c := openDoor(t, openStore(t, testOptions(t)), scopeOf("octo/demo", "refs/heads/main"))
	if key, _ := c.find("linux-1,linux-", "v"); key != "" {
		t.Fatalf("an empty cache has %q", key)
	}
	const piece, pieces = 100_003, 23
	content := make([]byte, piece*pieces-7)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	status, id := c.reserve("linux-1", "v", int64(len(content)))
	if status != http.StatusCreated {
		t.Fatal(status)
	}
	part := func(i int) []byte { return content[i*piece : min(len(content), (i+1)*piece)] }
	each(pieces, func(i int) {
		if status := c.chunk(id, int64(i*piece), part(i)); status != http.StatusNoContent {
			t.Errorf("chunk %d: %d", i, status)
		}
	})
	if key, _ := c.find("linux-1", "v"); key != "" {
		t.Error("an entry is there before it is whole")
	}
	if status := c.commit(id, len(content)); status != http.StatusNoContent {
		t.Fatalf("commit: %d", status)
	}
	key, location := c.find("linux-2,linux-", "v")
	if key != "linux-1" {
		t.Fatalf("the lookup gives %q", key)
	}
	if _, _, h := c.ask(http.MethodHead, location, nil); h.Get("Content-Length") != "2300062" || h.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD: %v", h)
	}
	if _, whole, _ := c.ask(http.MethodGet, location, nil); !bytes.Equal(whole, content) {
		t.Error("the download is not what was saved")
	}
	each(pieces, func(i int) {
		from := i * piece
		status, got, _ := c.ask(http.MethodGet, location, nil, "Range", "bytes="+itoa(from)+"-"+itoa(from+len(part(i))-1))
		if status != http.StatusPartialContent || !bytes.Equal(got, part(i)) {
			t.Errorf("range %d: %d, %d bytes", i, status, len(got))
		}
	})
}

// TestDialInside: a door that listens nowhere serves connections within the process.
func TestDialInside(t *testing.T) {
	t.Parallel()
	d := openStore(t, testOptions(t)).OpenDoor(DoorOptions{Scope: scopeOf("octo/demo", "refs/heads/main")})
	t.Cleanup(d.Close)
	web := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.Dial(ctx) }}}
	t.Cleanup(web.CloseIdleConnections)
	resp, err := web.Get(d.URL("127.0.0.1:9") + "_apis/artifactcache/cache?keys=a&version=v")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Error(resp.StatusCode)
	}
}

func each(n int, do func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// TestProtocol has what a client can do wrong, each with its own upload (1) of 10
// bytes, of which 4 have come, and an entry "there".
func TestProtocol(t *testing.T) {
	t.Parallel()
	type request struct {
		method, path string
		body         any
		headers      []string
	}
	patch := func(to, body string) request {
		return request{http.MethodPatch, "caches/1", body, []string{"Content-Range", to}}
	}
	post := func(path string, body any) request { return request{http.MethodPost, path, body, nil} }
	get := func(path string) request { return request{http.MethodGet, path, nil, nil} }
	type object = map[string]any
	for name, c := range map[string]struct {
		request
		want int
	}{
		"an entry that is there":          {post("caches", object{"key": "there", "version": "v", "cacheSize": 1}), 409},
		"one that is being saved":         {post("caches", object{"key": "grows", "version": "v", "cacheSize": 1}), 409},
		"the same key, another version":   {post("caches", object{"key": "there", "version": "w", "cacheSize": 1}), 201},
		"no size":                         {post("caches", object{"key": "new", "version": "v"}), 201},
		"a size of -1":                    {post("caches", object{"key": "new", "version": "v", "cacheSize": -1}), 400},
		"more than a job may save":        {post("caches", object{"key": "new", "version": "v", "cacheSize": 33 << 20}), 400},
		"no key":                          {post("caches", object{"version": "v"}), 400},
		"a key of 513":                    {post("caches", object{"key": strings.Repeat("k", 513), "version": "v"}), 400},
		"a key with a comma":              {post("caches", object{"key": "a,b", "version": "v"}), 400},
		"no version":                      {post("caches", object{"key": "new"}), 400},
		"no JSON":                         {post("caches", "key=new"), 400},
		"a large body":                    {post("caches", object{"key": strings.Repeat("k", 100_000)}), 400},
		"a lookup without keys":           {get("cache?version=v"), 400},
		"a lookup of eleven keys":         {get("cache?keys=a,b,c,d,e,f,g,h,i,j,k&version=v"), 400},
		"a lookup without a version":      {get("cache?keys=a"), 400},
		"the rest":                        {patch("bytes 4-9/*", "456789"), 204},
		"a chunk again":                   {patch("bytes 0-3/*", "0123"), 204},
		"behind the size":                 {patch("bytes 8-10/*", "890"), 400},
		"fewer bytes than said":           {patch("bytes 4-9/*", "45678"), 400},
		"more bytes than said":            {patch("bytes 4-9/*", "4567890"), 400},
		"no Content-Range":                {request{http.MethodPatch, "caches/1", "4", nil}, 400},
		"no unit":                         {patch("4-9/*", "456789"), 400},
		"an upload that is none":          {request{http.MethodPatch, "caches/9", "4", []string{"Content-Range", "bytes 4-4/*"}}, 404},
		"a commit before all has come":    {post("caches/1", object{"size": 10}), 400},
		"a commit of what has come":       {post("caches/1", object{"size": 4}), 204},
		"a commit of less than has come":  {post("caches/1", object{"size": 3}), 400},
		"a commit of another upload":      {post("caches/2", object{"size": 4}), 404},
		"a download of what was not told": {get("artifacts/1"), 404},
		"a download of nothing":           {get("artifacts/0"), 404},
		"an unknown path":                 {get("else"), 404},
		"a method that is none":           {request{http.MethodDelete, "caches/1", nil, nil}, 404},
		"what there is":                   {get("caches?key=th"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, door := openDoor(t, openStore(t, testOptions(t)), scopeOf("octo/demo", "refs/heads/main"))
			_, _ = door.reserve("grows", "v", 10)
			if status := door.chunk(1, 0, []byte("0123")); status != http.StatusNoContent {
				t.Fatal(status)
			}
			door.save("there", "v", "content")
			status, body, _ := door.ask(c.method, c.path, c.body, c.headers...)
			if status != c.want {
				t.Errorf("%d %s, want %d", status, body, c.want)
			}
			if status >= 400 && !bytes.Contains(body, []byte(`{"message":"`)) {
				t.Errorf("the client shows no reason: %s", body)
			}
			if name == "what there is" && !bytes.Contains(body, []byte(`"totalCount":1,`)) && !bytes.Contains(body, []byte(`"totalCount":1}`)) {
				t.Errorf("the list: %s", body)
			}
		})
	}
}

// TestSecret: without the path nothing is told, whatever is asked for.
func TestSecret(t *testing.T) {
	t.Parallel()
	store := openStore(t, testOptions(t))
	d, c := openDoor(t, store, scopeOf("octo/demo", "refs/heads/main"))
	_, other := openDoor(t, store, scopeOf("octo/demo", "refs/heads/main"))
	c.save("k", "v", "content")
	_, location := c.find("k", "v")
	if !strings.Contains(location, d.Secret()) {
		t.Errorf("the location %s is not behind the secret", location)
	}
	base, _, _ := strings.Cut(c.url, d.Secret())
	for _, at := range []string{base, base + "_apis/artifactcache/cache?keys=k&version=v", base + "x/_apis/artifactcache/cache?keys=k&version=v", strings.Replace(location, d.Secret(), "x", 1)} {
		if status, _, _ := c.ask(http.MethodGet, at, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", at, status)
		}
	}
	// What one job was told of is nothing to another's door.
	if status, _, _ := other.ask(http.MethodGet, "artifacts/1", nil); status != http.StatusNotFound {
		t.Error(status)
	}
}

// TestEndOfJob: a door that is closed answers nobody, and leaves nothing of what was
// not committed; the next job can save it.
func TestEndOfJob(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	store := openStore(t, o)
	d, c := openDoor(t, store, scopeOf("octo/demo", "refs/heads/main"))
	_, id := c.reserve("k", "v", 1<<20)
	c.chunk(id, 0, []byte("some"))
	// A chunk that hangs does not keep the job from ending.
	conn, err := net.Dial("tcp", strings.Split(c.url, "/")[2])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PATCH /"+d.Secret()+"/_apis/artifactcache/caches/1 HTTP/1.1\r\nHost: x\r\nContent-Range: bytes 10-1000/*\r\nContent-Length: 991\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if left := store.pending; left != 0 || store.arrived != 0 || len(store.reserved) != 0 {
		t.Errorf("%d bytes, %d arrived, %d uploads are still reserved", left, store.arrived, len(store.reserved))
	}
	if files := filesIn(t, o.Dir, "uploads"); len(files) != 1 { // the lock
		t.Errorf("left: %v", files)
	}
	_, next := openDoor(t, store, scopeOf("octo/demo", "refs/heads/main"))
	next.save("k", "v", "content")
}
