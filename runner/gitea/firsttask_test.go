package gitea_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"otelrunner/runner/gitea"
)

// TestFirstTask: what a list of tasks says of one, page after page.
func TestFirstTask(t *testing.T) {
	page := func(total int, entries ...string) string {
		return fmt.Sprintf(`{"workflow_runs": [%s], "total_count": %d}`, strings.Join(entries, ","), total)
	}
	of := func(run, task int) string { return fmt.Sprintf(`{"id": %d, "run_number": %d, "name": "x"}`, task, run) }
	for name, c := range map[string]struct {
		pages []string
		first bool
		err   string
		asked int
	}{
		"alone":                          {[]string{page(1, of(3, 10))}, true, "", 1},
		"with a later one":               {[]string{page(2, of(3, 11), of(3, 10))}, true, "", 1},
		"with an earlier one":            {[]string{page(2, of(3, 10), of(3, 9))}, false, "", 1},
		"earlier ones of other runs":     {[]string{page(3, of(3, 10), of(2, 9), of(4, 8))}, true, "", 1},
		"an earlier one on a later page": {[]string{page(4, of(3, 10), of(2, 9)), page(4, of(2, 8), of(3, 7))}, false, "", 2},
		"a list that goes on for ever":   {[]string{page(9999, of(3, 10)), page(9999, of(2, 9)), page(9999, of(2, 8)), page(9999, of(2, 7)), page(9999, of(3, 6))}, true, "", 4},
		"a list that ends early":         {[]string{page(9999, of(3, 10)), page(9999)}, true, "", 2},
		"a list without it":              {[]string{page(1, of(3, 11))}, false, `list the tasks of run 3 of "o/r": the task itself is not in it`, 1},
		"its number in another run":      {[]string{page(1, of(4, 10))}, false, "the task itself is not in it", 1},
		"a page of something else":       {[]string{"<html>"}, false, `list the tasks of run 3 of "o/r": the answer is no such list: `, 1},
		"none":                           {nil, false, "the server answered HTTP 404; a job's token may not read it, or the server is too old", 1},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				want := "/api/v1/repos/o/r/actions/tasks?limit=50"
				if asked > 1 {
					want += fmt.Sprintf("&page=%d", asked)
				}
				if r.URL.String() != want || r.Header.Get("Authorization") != "token secret" {
					t.Errorf("asked for %s with %q, want %s", r.URL, r.Header.Get("Authorization"), want)
				}
				if asked > len(c.pages) {
					http.NotFound(w, r)
					return
				}
				_, _ = w.Write([]byte(c.pages[asked-1])) // the client's loss
			}))
			defer s.Close()
			first, err := gitea.FirstTask(t.Context(), s.Client(), s.URL+"/api/v1", "o/r", "secret", 3, 10)
			if first != c.first || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("first: %v, %v; want %v, %q", first, err, c.first, c.err)
			}
			if asked != c.asked {
				t.Errorf("%d pages were asked for, want %d", asked, c.asked)
			}
		})
	}
	if _, err := gitea.FirstTask(t.Context(), http.DefaultClient, "http://127.0.0.1:1", "no-owner", "", 3, 10); err == nil || !strings.Contains(err.Error(), "that names no repository") {
		t.Errorf("without an owner: %v", err)
	}
}
