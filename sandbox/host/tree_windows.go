package host

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// processes makes the trees of jobs.
type processes struct{}

func newProcesses(bool) *processes { return &processes{} }

// sweep has nothing to do: job objects end with the runner that holds them.
func (*processes) sweep(context.Context, trace) error { return nil }

// open makes the job object of a job, in which each command gets one of its own.
func (*processes) open(id string) (jobTree, error) {
	object, err := newJobObject()
	if err != nil {
		return nil, err
	}
	return &tree{id: id, object: object}, nil
}

// newJobObject makes a job object whose processes die with its last handle, and
// so with this process.
func newJobObject() (windows.Handle, error) {
	object, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, fmt.Errorf("make a job object: %w", err)
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	if _, err := windows.SetInformationJobObject(object, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info))); err != nil {
		return 0, errors.Join(fmt.Errorf("set up a job object: %w", err), windows.CloseHandle(object))
	}
	return object, nil
}

// tree is the processes of one job.
type tree struct {
	id       string
	object   windows.Handle
	commands int
	left     []windows.Handle // objects of commands that left processes
}

func (t *tree) tracking() string  { return "otelrunner-" + t.id + "-" + strconv.Itoa(t.commands+1) }
func (t *tree) trace() trace      { return trace{} }
func (t *tree) details() []string { return []string{"Processes are held together by a job object."} }

// start starts a command suspended, so that it cannot start another before it is
// in its job objects.
func (t *tree) start(fresh func() *exec.Cmd) (*exec.Cmd, commandTree, error) {
	object, err := newJobObject()
	if err != nil {
		return nil, nil, err
	}
	cmd := fresh()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP,
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(err, windows.CloseHandle(object))
	}
	if err := t.admit(object, uint32(cmd.Process.Pid)); err != nil {
		return nil, nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait(), windows.CloseHandle(object))
	}
	t.commands++
	return cmd, &command{tree: t, object: object, pid: uint32(cmd.Process.Pid)}, nil
}

// admit puts a suspended process into the job's object, and into its own, which
// nests in it, and lets it go.
func (t *tree) admit(object windows.Handle, pid uint32) error {
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, pid)
	if err != nil {
		return fmt.Errorf("open the process: %w", err)
	}
	defer func() { _ = windows.CloseHandle(process) }()
	if err := windows.AssignProcessToJobObject(t.object, process); err != nil {
		return fmt.Errorf("put the process into the job's object: %w", err)
	}
	if err := windows.AssignProcessToJobObject(object, process); err != nil {
		return fmt.Errorf("put the process into its object: %w", err)
	}
	return resume(pid)
}

// resume lets the threads of a process go.
func resume(pid uint32) error {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	defer func() { _ = windows.CloseHandle(snapshot) }()
	entry := windows.ThreadEntry32{Size: uint32(unsafe.Sizeof(windows.ThreadEntry32{}))}
	for err = windows.Thread32First(snapshot, &entry); err == nil; err = windows.Thread32Next(snapshot, &entry) {
		if entry.OwnerProcessID != pid {
			continue
		}
		thread, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, entry.ThreadID)
		if err != nil {
			return fmt.Errorf("open the thread: %w", err)
		}
		_, err = windows.ResumeThread(thread)
		_ = windows.CloseHandle(thread)
		if err != nil {
			return fmt.Errorf("start the thread: %w", err)
		}
	}
	return nil
}

// destroy ends every process of the job.
func (t *tree) destroy(ctx context.Context) error {
	err := end(ctx, t.object)
	for _, object := range append(t.left, t.object) {
		err = errors.Join(err, windows.CloseHandle(object))
	}
	return err
}

// command is the processes of one command.
type command struct {
	tree   *tree
	object windows.Handle
	pid    uint32
}

// terminate sends CTRL_BREAK, which a process can only hear when it shares a
// console with the runner.
func (c *command) terminate() bool {
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, c.pid) == nil
}

func (c *command) alive() bool { return active(c.object) > 0 }

func (c *command) kill(ctx context.Context) error {
	err := end(ctx, c.object)
	return errors.Join(err, windows.CloseHandle(c.object))
}

// release keeps the object, whose handle holds the life of what is left.
func (c *command) release() {
	if active(c.object) == 0 {
		_ = windows.CloseHandle(c.object)
		return
	}
	c.tree.left = append(c.tree.left, c.object)
}

// end terminates the processes of an object and waits until they are gone.
func end(ctx context.Context, object windows.Handle) error {
	if err := windows.TerminateJobObject(object, 1); err != nil {
		return fmt.Errorf("end the job's processes: %w", err)
	}
	for active(object) > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("end the job's processes: %d are left: %w", active(object), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// accounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION of winnt.h.
type accounting struct {
	TotalUserTime, TotalKernelTime, ThisPeriodTotalUserTime, ThisPeriodTotalKernelTime int64
	TotalPageFaultCount, TotalProcesses, ActiveProcesses, TotalTerminatedProcesses     uint32
}

// active counts the processes of an object.
func active(object windows.Handle) uint32 {
	var info accounting
	err := windows.QueryInformationJobObject(object, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), nil)
	if err != nil {
		return 0
	}
	return info.ActiveProcesses
}
