package report

import (
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// steps keeps the steps' states and which rows are whose. Gitea finds the rows of
// "Complete job" by adding the lengths of all steps to the index of the first, so
// the steps' rows must follow one another without a hole: rows that come between
// two steps belong to the second. Its user locks it.
type steps struct {
	all     []step
	running int   // the step that has begun and not ended, or -1
	end     int64 // the row after the last step's; -1 before the first step
}

type step struct {
	result        task.Result
	begun         bool
	start, stop   time.Time
	index, length int64
}

func newSteps() steps { return steps{running: -1, end: -1} }

// at returns step i, made if need be: without rows, where the last step ended.
func (s *steps) at(i int) *step {
	for len(s.all) <= i {
		s.all = append(s.all, step{index: max(s.end, 0)})
	}
	return &s.all[i]
}

// started begins step i with the row next; what still runs ends before it.
func (s *steps) started(i int, t time.Time, next int64) {
	s.close(next)
	if s.end < 0 {
		s.end = next
	}
	x := s.at(i)
	x.begun, x.start, x.index, x.length = true, t, s.end, 0
	s.running = i
}

// finished ends step i before the row next. A step that never began was skipped:
// it has no rows.
func (s *steps) finished(i int, r task.Result, t time.Time, next int64) {
	if s.end < 0 {
		s.end = next
	}
	x := s.at(i)
	switch {
	case s.running == i:
		s.close(next)
	case !x.begun:
		x.start, x.index, x.length = t, s.end, 0
	}
	x.result, x.stop = r, t
}

// close ends the rows of the step that runs.
func (s *steps) close(next int64) {
	if s.running < 0 {
		return
	}
	x := &s.all[s.running]
	x.length = next - x.index
	s.end = next
	s.running = -1
}

// finish gives a result to what has none, of count steps at least: a step that the
// job's end cut off has the job's, others were skipped.
func (s *steps) finish(job task.Result, count int, t time.Time, next int64) {
	s.close(next)
	if count > 0 {
		if s.end < 0 {
			s.end = next
		}
		s.at(count - 1)
	}
	for i := range s.all {
		x := &s.all[i]
		if x.result.Final() {
			continue
		}
		x.result, x.stop = task.Skipped, t
		if !x.begun {
			x.start = t
			continue
		}
		x.result = task.Failure
		if job == task.Cancelled {
			x.result = task.Cancelled
		}
	}
}

// states are the steps as the server may hear of them while it has the rows
// before acked: a length never reaches beyond those.
func (s *steps) states(acked int64) []*runnerv1.StepState {
	out := make([]*runnerv1.StepState, len(s.all))
	for i := range s.all {
		x := &s.all[i]
		index, length := x.index, x.length
		if i == s.running {
			length = acked - index
		}
		out[i] = &runnerv1.StepState{
			Id:        int64(i),
			Result:    gitea.ResultToWire(x.result),
			StartedAt: timestamp(x.start),
			StoppedAt: timestamp(x.stop),
			LogIndex:  index,
			LogLength: max(0, min(length, acked-index)),
		}
	}
	return out
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
