package job

import (
	"time"

	"otelrunner/runner/task"
)

// A Sink takes what happens in a job: the reporter of a task, or a terminal.
//
// It knows the task's secrets and masks them in everything that it is given.
// Row, AddMask and SetOutput may be called from several goroutines; the calls
// for steps come from one. A call may block for as long as the sink is behind:
// that slows the job down, and nothing is dropped.
type Sink interface {
	// Row takes one row of the log, without a line's end, and the time at
	// which it came. Rows between StepStarted and StepFinished are the
	// step's.
	//
	// A row that begins with one of the Row prefixes below has a meaning;
	// the engine sees to it that a step's program cannot print one that
	// it did not get as a workflow command.
	Row(t time.Time, line string)

	// StepStarted says that step i, counted from 0 in the workflow's list,
	// begins. One step runs at a time.
	StepStarted(i int, t time.Time)

	// StepFinished gives step i's conclusion. A step that did not run gives
	// this call alone, with task.Skipped.
	StepFinished(i int, res task.Result, t time.Time)

	// AddMask hides value in every row from now on.
	AddMask(value string)

	// SetOutput gives one of the job's outputs, at the job's end.
	SetOutput(key, value string)

	// SetSummary gives the whole summary of step i so far; a later call
	// replaces it.
	SetSummary(step int, markdown []byte)
}

// A Cutter is a Sink that says where a very long line, which comes to it in
// several rows, may be cut so that no secret lies across.
type Cutter interface {
	// Cut returns how many of the bytes of line, the beginning of a line that
	// goes on, may be a row of their own: more than 0.
	Cut(line []byte) int
}

// A Deferrer is a Sink that lets the removal of a sandbox wait until the job's
// result has been told. No process of the job's steps is left then; services and
// what else lies on a container engine are.
type Deferrer interface {
	// Later takes what is to be called once, when Run has returned.
	Later(remove func())
}

// The prefixes of rows that have a meaning for the page that shows the log, in
// the form that Gitea's page knows in all its versions and that a log on GitHub
// has, too.
const (
	RowGroup    = "##[group]"
	RowEndGroup = "##[endgroup]"
	RowError    = "##[error]"
	RowWarning  = "##[warning]"
	RowNotice   = "##[notice]"
	RowDebug    = "##[debug]"
)
