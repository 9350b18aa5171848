package host

import (
	"context"
	"os/exec"
)

// A jobTree is all processes of one job.
type jobTree interface {
	// start starts a command as the first process of a new tree. A Cmd
	// whose start has failed is of no more use, so that each try makes one.
	start(fresh func() *exec.Cmd) (*exec.Cmd, commandTree, error)
	// tracking is the value of the tracking variable for the next command.
	tracking() string
	// trace is what a later runner needs to find these processes.
	trace() trace
	// details are lines for the log.
	details() []string
	// destroy kills every process of the job and removes what the tree has
	// made in the system. Its error names the processes that are left.
	destroy(ctx context.Context) error
}

// A commandTree is the processes of one command: the first one and all that
// come from it. Methods are called by one goroutine at a time.
type commandTree interface {
	// terminate asks every process to end and reports whether any could be
	// asked.
	terminate() bool
	// alive reports whether any process is left.
	alive() bool
	// kill ends every process.
	kill(ctx context.Context) error
	// release is called when the first process has ended by itself; those
	// that it left go on until the job's end.
	release()
}

// trace finds the processes of a job whose runner is dead.
type trace struct {
	Job   uint64 `json:"job,omitempty"`   // the number in marks
	Group string `json:"group,omitempty"` // path of the control group
}
