package giteatest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listTasks is GET /api/v1/repos/{owner}/{repo}/actions/tasks, as far as a runner reads
// it: what was given to runners, of all attempts, the last one first, by pages. A real
// server numbers tasks as it gives them away; here they have their numbers before.
func (s *Server) listTasks(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "token ")
	s.mu.Lock()
	defer s.mu.Unlock()
	type entry struct {
		ID  int64 `json:"id"`
		Run int64 `json:"run_number"`
	}
	all, allowed := []entry{}, false
	for _, t := range s.order {
		c := t.wire.GetContext().GetFields()
		if c["repository"].GetStringValue() != r.PathValue("owner")+"/"+r.PathValue("repo") || t.runner == nil {
			continue
		}
		allowed = allowed || ok && token == c["token"].GetStringValue() && !t.final()
		number, _ := strconv.ParseInt(c["run_number"].GetStringValue(), 10, 64) // ours
		all = append(all, entry{t.wire.GetId(), number})
	}
	if !allowed {
		http.Error(w, `{"message":"token is required"}`, http.StatusUnauthorized)
		return
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(b.ID, a.ID) })
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(r.FormValue(name))
		if err != nil || n < 1 {
			return otherwise
		}
		return n
	}
	limit := min(number("limit", 30), 50)
	from := min((number("page", 1)-1)*limit, len(all))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"workflow_runs": all[from:min(from+limit, len(all))], "total_count": len(all)}) // the client's loss
}
