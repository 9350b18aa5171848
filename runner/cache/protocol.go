package cache

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// route takes a request to what is below _apis/artifactcache/. The protocol is what
// @actions/cache's client speaks to servers other than github.com.
func (d *Door) route(w http.ResponseWriter, req *http.Request, path string) {
	what, id, _ := strings.Cut(path, "/")
	number, err := strconv.Atoi(id)
	numbered := err == nil && number > 0
	switch method := req.Method; {
	case what == "cache" && id == "" && method == http.MethodGet:
		d.find(w, req)
	case what == "caches" && id == "" && method == http.MethodGet:
		d.list(w, req)
	case what == "caches" && id == "" && method == http.MethodPost:
		d.reserve(w, req)
	case what == "caches" && numbered && method == http.MethodPatch:
		d.write(w, req, number)
	case what == "caches" && numbered && method == http.MethodPost:
		d.commit(w, req, number)
	case what == "artifacts" && numbered && (method == http.MethodGet || method == http.MethodHead):
		d.download(w, req, number)
	default:
		fail(w, http.StatusNotFound, "there is no "+method+" of this")
	}
}

// fail answers with an error, in the form that the client shows.
func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"message": message})
}

func answer(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil { // no value of ours
		status, data = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // who does not wait for it does not get it
}

// refuse answers with what a store says.
func (d *Door) refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	for _, known := range []struct {
		err    error
		status int
	}{
		{errExists, http.StatusConflict},
		{errTooBig, http.StatusBadRequest},
		{errTooMany, http.StatusTooManyRequests},
		{errPieces, http.StatusBadRequest},
		{errShort, http.StatusBadRequest},
		{errMissing, http.StatusBadRequest},
		{errEnded, http.StatusConflict},
		{errNoRoom, http.StatusInsufficientStorage},
		{syscall.ENOSPC, http.StatusInsufficientStorage},
		{io.ErrUnexpectedEOF, http.StatusBadRequest},
		{os.ErrDeadlineExceeded, http.StatusRequestTimeout},
	} {
		if errors.Is(err, known.err) {
			status = known.status
		}
	}
	if status == http.StatusInternalServerError {
		d.opts.Log.Warn("the cache of a job", "error", err)
		fail(w, status, "the runner's cache has failed; its log says more")
		return
	}
	fail(w, status, err.Error())
}

// find answers GET cache?keys=…&version=….
func (d *Door) find(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	keys, err := parseKeys(query.Get("keys"))
	if err == nil {
		err = checkVersion(query.Get("version"))
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	e, ok := d.store.lookup(&d.opts.Scope, keys, query.Get("version"))
	var place int
	if ok {
		place, ok = d.place(e)
	}
	d.opts.Looked(ok)
	if !ok {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	d.store.used(&e)
	at := url.URL{Scheme: "http", Host: req.Host, Path: "/" + d.secret + "/_apis/artifactcache/artifacts/" + strconv.Itoa(place)}
	answer(w, http.StatusOK, map[string]any{
		"result": "hit", "archiveLocation": at.String(), "cacheKey": e.Key, "scope": e.Ref, "creationTime": e.Created.Format(time.RFC3339),
	})
}

// place is the number by which the job downloads an entry: it can name no others than
// those it was told of.
func (d *Door) place(e found) (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, ok := d.places[e.file]; ok {
		d.found[n-1] = e
		return n, true
	}
	if len(d.found) == doorFound {
		return 0, false
	}
	d.found = append(d.found, e)
	d.places[e.file] = len(d.found)
	return len(d.found), true
}

// download answers GET artifacts/ID, whole or in ranges.
func (d *Door) download(w http.ResponseWriter, req *http.Request, number int) {
	d.mu.Lock()
	if number > len(d.found) {
		d.mu.Unlock()
		fail(w, http.StatusNotFound, "this job was told of no such entry")
		return
	}
	e := d.found[number-1]
	d.mu.Unlock()
	content, file, err := d.store.content(&e)
	if err != nil {
		fail(w, http.StatusNotFound, "the entry is not there any more")
		return
	}
	defer func() { _ = file.Close() }() // it is only read
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, req, "", e.Created, content)
}

// list answers GET caches?key=…, which the client asks after a miss when a job is
// debugged: what there is for this job that begins with a key, in any version.
func (d *Door) list(w http.ResponseWriter, req *http.Request) {
	key := req.URL.Query().Get("key")
	if err := checkKey(key); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	type item struct {
		Key     string    `json:"cacheKey"`
		Version string    `json:"cacheVersion"`
		Scope   string    `json:"scope"`
		Created time.Time `json:"creationTime"`
	}
	list := []item{}
	for _, e := range d.store.similar(&d.opts.Scope, key) {
		list = append(list, item{e.Key, e.Version, e.Ref, e.Created})
	}
	answer(w, http.StatusOK, map[string]any{"totalCount": len(list), "artifactCaches": list})
}

// body reads the JSON of a small request.
func body(w http.ResponseWriter, req *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, doorBody)).Decode(into); err != nil {
		fail(w, http.StatusBadRequest, "the request is not the JSON that it should be")
		return false
	}
	return true
}

// reserve answers POST caches.
func (d *Door) reserve(w http.ResponseWriter, req *http.Request) {
	var in struct {
		Key     string `json:"key"`
		Version string `json:"version"`
		Size    int64  `json:"cacheSize"`
	}
	if !body(w, req, &in) {
		return
	}
	err := errors.Join(checkKey(in.Key), checkVersion(in.Version))
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, err.Error())
		return
	case in.Size < 0:
		fail(w, http.StatusBadRequest, "the size is less than nothing")
		return
	case d.opts.Scope.Write == "":
		fail(w, http.StatusForbidden, "this job may not save anything: the server does not tell its ref")
		return
	}
	number, err := d.begin(identity{d.opts.Scope.Server, d.opts.Scope.Repository, d.opts.Scope.Write, in.Version, in.Key}, in.Size)
	if err != nil {
		d.refuse(w, err)
		return
	}
	answer(w, http.StatusCreated, map[string]int{"cacheId": number})
}

// write answers PATCH caches/ID.
func (d *Door) write(w http.ResponseWriter, req *http.Request, number int) {
	chunk, err := parseContentRange(req.Header.Get("Content-Range"))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	u := d.upload(number)
	if u == nil {
		fail(w, http.StatusNotFound, "this job is saving no such entry")
		return
	}
	if err := u.write(chunk, req.Body); err != nil {
		d.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// commit answers POST caches/ID.
func (d *Door) commit(w http.ResponseWriter, req *http.Request, number int) {
	var in struct {
		Size int64 `json:"size"`
	}
	if !body(w, req, &in) {
		return
	}
	u := d.upload(number)
	if u == nil {
		fail(w, http.StatusNotFound, "this job is saving no such entry")
		return
	}
	if err := u.commit(in.Size); err != nil {
		d.refuse(w, err)
		return
	}
	d.end(number, in.Size)
	w.WriteHeader(http.StatusNoContent)
}
