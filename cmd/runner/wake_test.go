//go:build !windows

package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
)

// stalls measures how long this machine lets a process wait that wants to run: what
// was asked for at a time and came later. It runs until the function that it returns
// is called, which says the sum.
func stalls() (end func() time.Duration) {
	stop, sum := make(chan struct{}), make(chan time.Duration)
	go func() {
		const every = 5 * time.Millisecond
		tick := time.NewTicker(every)
		defer tick.Stop()
		var late time.Duration
		for last := time.Now(); ; {
			select {
			case <-tick.C:
				now := time.Now()
				late += max(0, now.Sub(last)-2*every)
				last = now
			case <-stop:
				sum <- late
				return
			}
		}
	}()
	return func() time.Duration { close(stop); return <-sum }
}

// hooks sends a runner's endpoint what Gitea sends.
type hooks struct {
	t           *testing.T
	url, secret string
	sent        int
}

func (h *hooks) send(label string) (status int) {
	h.t.Helper()
	h.sent++
	body := fmt.Sprintf(`{"action":"queued","workflow_job":{"id":%d,"labels":[%q]}}`, h.sent, label)
	mac := hmac.New(sha256.New, []byte(h.secret))
	mac.Write([]byte(body))
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("X-Gitea-Event", "workflow_job")
	req.Header.Set("X-Gitea-Delivery", fmt.Sprintf("f6b4a7d2-0000-4000-8000-%012d", h.sent))
	req.Header.Set("X-Gitea-Signature", hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// A webhook starts a job within 200 ms, each time, although the runner asks once a
// minute: from the webhook's being sent to the assignment, through both servers. Only
// what the machine itself stands still is forgiven.
func TestWake(t *testing.T) {
	t.Parallel()
	const wakes, promised = 20, 200 * time.Millisecond
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	h := &hooks{t: t, secret: "a-secret-of-the-webhook"}
	r.write("secret", h.secret+"\n")
	r.env = append(r.env, "OTELRUNNER_POLL_WAKE=127.0.0.1:0", "OTELRUNNER_POLL_WAKE_SECRET_FILE=secret", "OTELRUNNER_RUNNER_FETCH_INTERVAL=50s")
	p := r.start("serve", "--log-format", "json")
	h.url = "http://" + p.field("wake_address") + "/"
	if err := r.server.WaitCalls(soon(t), "FetchTask", 1); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	var all []time.Duration
	for range wakes {
		fetches := r.server.Stats("FetchTask").Calls
		stalled := stalls()
		began := time.Now()
		id := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
		if status := h.send("linux"); status != http.StatusNoContent {
			t.Fatalf("the webhook was answered %d", status)
		}
		if err := r.server.WaitAssigned(soon(t), id); err != nil {
			t.Fatalf("%v\n%s", err, p.stderr.String())
		}
		got, _ := r.server.Task(id)
		took, stood := got.Assigned.Sub(began), stalled()
		if all = append(all, took); took > promised+4*stood {
			t.Errorf("a job waited %v; the machine stood still for %v", took, stood)
		}
		if _, err := r.server.WaitResult(soon(t), id); err != nil {
			t.Fatal(err)
		}
		// After its task a worker asks once more, then sleeps.
		err := r.server.Wait(soon(t), func() bool {
			s := r.server.Stats("FetchTask")
			return s.Calls >= fetches+2 && s.Concurrent == 0
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("from the webhook to the assignment: %v", all)
	if status := h.send("other"); status != http.StatusOK {
		t.Errorf("a job for others was answered %d", status)
	}
	if n := r.server.Stats("FetchTask").Calls; n > 1+2*wakes+1 {
		t.Errorf("%d fetches", n)
	}
}
