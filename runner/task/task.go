// Package task holds the plain form of what a server hands out: the one
// vocabulary that the stages between the wire and the sandbox share. It imports
// nothing of ours and nothing of the wire.
package task

import (
	"strings"
	"time"
)

// Task is one job with one combination of its matrix, ready to run.
//
// A Task is read-only once it has been built; its maps are shared, never
// written.
type Task struct {
	// ID is the server's number of this attempt at the job; never reused.
	ID int64

	// Workflow is the text of a workflow file that holds exactly one job.
	Workflow []byte

	// File is what messages call that text; "" is "workflow".
	File string

	// Context is the github context, its event under "event". Numbers are
	// float64, as in JSON.
	Context map[string]any

	Secrets map[string]string
	Vars    map[string]string

	// Needs has the jobs that this one waited for, by their ids.
	Needs map[string]Need

	// Strategy is the job's place in its matrix. A server does not tell it: the
	// zero value is the only job of a matrix of one.
	Strategy Strategy

	// Fetched is the call that brought the task; zero where none did.
	Fetched Fetched
}

// Fetched says when the server was asked for a task, and when it gave it.
type Fetched struct{ Began, Ended time.Time }

// Strategy is the place of one job among those of its matrix.
type Strategy struct {
	Index int // from 0
	Total int // how many jobs the matrix makes; 0 means 1

	// MaxParallel is how many of them may run at the same time; 0 means that the
	// workflow's text says it.
	MaxParallel int
}

// Need is a finished job as its dependants see it.
type Need struct {
	Result  Result
	Outputs map[string]string
}

// String returns the string at key of the github context, or "".
func (t *Task) String(key string) string {
	s, _ := t.Context[key].(string)
	return s
}

// Result is a job's or a step's result. The zero value means that there is none
// yet.
type Result string

// The results, spelled as expressions see them (needs.*.result, job.status).
const (
	Unspecified Result = ""
	Success     Result = "success"
	Failure     Result = "failure"
	Cancelled   Result = "cancelled"
	Skipped     Result = "skipped"
)

// Final reports whether r ends a job or step.
func (r Result) Final() bool { return r != Unspecified }

func (r Result) String() string {
	if r == Unspecified {
		return "unspecified"
	}
	return string(r)
}

// ParseResult is the reverse of String; what it does not know is Unspecified.
func ParseResult(s string) Result {
	switch r := Result(strings.ToLower(s)); r {
	case Success, Failure, Cancelled, Skipped:
		return r
	}
	return Unspecified
}
