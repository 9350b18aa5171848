package giteatest

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxSummary is the length in bytes of a step's summary.
const maxSummary = 1 << 20

// putSummary takes a step's summary for the right runtime token, while the task
// runs.
func (s *Server) putSummary(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		http.Error(w, "no bearer token", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSummary))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, "the summary exceeds 1 MiB", http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	step, err := strconv.Atoi(r.PathValue("step"))
	if err != nil || step < 0 {
		http.Error(w, "no such step", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.byRuntimeToken(token)
	switch {
	case t == nil, t.runner == nil, t.final(), t.cancelling:
		http.Error(w, "the runtime token is not valid", http.StatusUnauthorized)
		return
	case r.PathValue("run") != t.runID, r.PathValue("job") != strconv.FormatInt(t.jobID, 10):
		http.Error(w, "run or job does not match", http.StatusNotFound)
		return
	}
	callOf(r.Context()).TaskID = t.wire.GetId()
	t.summaries[step] = string(body)
	t.lastCall = s.now()
	s.notify()
	w.WriteHeader(http.StatusOK)
}

func (s *Server) byRuntimeToken(token string) *record {
	for _, t := range s.order {
		if token != "" && t.wire.GetContext().GetFields()["gitea_runtime_token"].GetStringValue() == token {
			return t
		}
	}
	return nil
}
