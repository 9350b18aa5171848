package wake_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"otelrunner/runner/wake"
)

const secret = "s3cret-of-the-webhook"

func sign(body, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// hook is an endpoint that counts.
type hook struct {
	*wake.Handler
	woken int
	ids   int
}

func newHook() *hook {
	h := &hook{}
	h.Handler = wake.New(wake.Options{
		Secret: []byte(secret), Labels: func() []string { return []string{"linux", "GPU"} }, Wake: func() { h.woken++ },
	})
	return h
}

// post sends a body as Gitea does; change may alter the request.
func (h *hook) post(body string, change func(*http.Request)) (status int, text string) {
	h.ids++
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Gitea-Event", "workflow_job")
	r.Header.Set("X-Gitea-Delivery", fmt.Sprintf("f6b4a7d2-0000-4000-8000-%012d", h.ids))
	r.Header.Set("X-Gitea-Signature", sign(body, secret))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func queued(id int, labels string) string {
	return fmt.Sprintf(`{"action":"queued","workflow_job":{"id":%d,"run_id":7,"status":"queued","labels":[%s]},"repository":{"full_name":"o/r"}}`, id, labels)
}

func TestWhatWakes(t *testing.T) {
	for i, c := range []struct {
		name, body string
		change     func(*http.Request)
		status     int
		text       string
	}{
		{"a job for it", queued(1, `"linux"`), nil, 204, ""},
		{"all labels", queued(1, `"linux","gpu"`), nil, 204, ""},
		{"no labels", queued(1, ``), nil, 204, ""},
		{"another label", queued(1, `"linux","arm"`), nil, 200, "labels are not this runner's"},
		{"another action", strings.Replace(queued(1, `"linux"`), "queued", "completed", 1), nil, 200, "not queued"},
		{"another event", queued(1, `"linux"`), func(r *http.Request) { r.Header.Set("X-Gitea-Event", "push") }, 200, "not an event"},
		{"a form", "payload=%7B%7D", nil, 200, "content type to application/json"},
		{"no signature", queued(1, `"linux"`), func(r *http.Request) { r.Header.Del("X-Gitea-Signature") }, 401, "signature"},
		{"another secret", queued(1, `"linux"`), func(r *http.Request) { r.Header.Set("X-Gitea-Signature", sign(queued(1, `"linux"`), "x")) }, 401, "signature"},
		{"half a signature", queued(1, `"linux"`), func(r *http.Request) { r.Header.Set("X-Gitea-Signature", sign(queued(1, `"linux"`), secret)[:32]) }, 401, "signature"},
		{"another body", queued(1, `"linux"`), func(r *http.Request) { r.Header.Set("X-Gitea-Signature", sign(queued(2, `"linux"`), secret)) }, 401, "signature"},
		{"a large body", strings.Repeat("x", 1<<20+1), nil, 413, "too large"},
		{"a GET", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, "POST only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHook()
			h.ids = 100 * i
			status, text := h.post(c.body, c.change)
			if status != c.status || !strings.Contains(text, c.text) || (h.woken == 1) != (status == 204) {
				t.Errorf("%d %q, woken %d times; want %d %q", status, text, h.woken, c.status, c.text)
			}
		})
	}
}

// The same delivery, or the same body under another id, wakes once.
func TestReplays(t *testing.T) {
	h := newHook()
	body := queued(1, `"linux"`)
	h.post(body, nil)
	id := "f6b4a7d2-0000-4000-8000-000000000001"
	for name, change := range map[string]func(*http.Request){
		"the same":   func(r *http.Request) { r.Header.Set("X-Gitea-Delivery", id) },
		"another id": nil,
		"no id":      func(r *http.Request) { r.Header.Del("X-Gitea-Delivery") },
	} {
		if status, text := h.post(body, change); status != 200 || !strings.Contains(text, "come before") {
			t.Errorf("%s: %d %q", name, status, text)
		}
	}
	if status, _ := h.post(queued(2, `"linux"`), func(r *http.Request) { r.Header.Set("X-Gitea-Delivery", id) }); status != 200 {
		t.Error("a known id with another body")
	}
	if status, _ := h.post(queued(3, `"linux"`), nil); status != 204 {
		t.Error("the next job")
	}
	if h.woken != 2 {
		t.Errorf("woken %d times", h.woken)
	}
}

// A flood is turned away before its bodies are read.
func TestRate(t *testing.T) {
	h := newHook()
	refused := 0
	for i := range 1000 {
		if status, _ := h.post(queued(i, `"linux"`), nil); status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 600 || h.woken < 250 {
		t.Errorf("%d refused, %d woken", refused, h.woken)
	}
}
