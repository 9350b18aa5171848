package wasm_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// stageAction stages an action, a module that says hello, and returns the module's
// path.
func stageAction(t *testing.T, j *job) string {
	t.Helper()
	dir, err := j.Stage(t.Context(), "_actions/octo/tool", fstest.MapFS{
		"main.wasm": {Data: hello()}, "lib/run.sh": {Data: []byte("#!/bin/sh\necho from the action\n"), Mode: 0o755},
		"link.sh": {Data: []byte("lib/run.sh"), Mode: 0o777 | 1<<27}, // fs.ModeSymlink
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "the action's folder", dir, "/temp/_actions/octo/tool")
	return dir + "/main.wasm"
}

// saysHello runs an action's module.
func saysHello(t *testing.T, j *job, main string) {
	t.Helper()
	var out bytes.Buffer
	if _, err := j.Run(t.Context(), &sandbox.Command{Args: []string{main}, Stdout: &out}); err != nil || out.String() != "hello\n" {
		t.Errorf("the action says %q, %v", out.String(), err)
	}
}

// TestActionsStay lets a hostile module have at a staged action by every folder that
// it is given, and runs the action then.
func TestActionsStay(t *testing.T) {
	j := open(t, newProvider(t, nil))
	main := stageAction(t, j)
	const full, inner, top, other = "temp/_actions/octo/tool/main.wasm", "octo/tool/main.wasm", "temp", "other"
	at := func(name string) (int32, int32) {
		all := full + inner + top + other
		return 1024 + int32(strings.Index(all, name)), int32(len(name)) //nolint:gosec // short
	}
	var tries [][]byte
	for fd := int32(3); fd < 8; fd++ {
		for _, name := range []string{full, inner} {
			p, n := at(name)
			for _, flags := range []int32{0, create, create | 8} { // 8 truncates
				tries = append(tries, openat(fd, p, n, flags, rw), w.Drop())
			}
			o, m := at(other)
			tries = append(tries, w.Const(fd), w.Const(p), w.Const(n), w.Const(3), w.Const(o), w.Const(m), w.Call(fRename), w.Drop(),
				w.Const(3), w.Const(o), w.Const(m), w.Const(fd), w.Const(p), w.Const(n), w.Call(fRename), w.Drop())
		}
	}
	p, n := at(top)
	o, m := at(other)
	tries = append(tries, w.Const(3), w.Const(p), w.Const(n), w.Const(3), w.Const(o), w.Const(m), w.Call(fRename), w.Drop())
	for range 2 { // also in a worker that replaces one that was killed
		if _, _, _, err := j.run(program(0, full+inner+top+other, tries...).Bytes()); err != nil {
			t.Error(err)
		}
		saysHello(t, j, main)
		c := j.put(program(0, "", w.Loop()).Bytes())
		c.Env = map[string]string{"SANDBOX_LIMIT_TIME": "100ms"}
		if _, err := j.Run(t.Context(), c); err == nil {
			t.Error("an endless loop ends")
		}
		saysHello(t, j, main)
	}
	if details := strings.Join(j.Info().Details, "\n"); !strings.Contains(details, "/temp/_actions (read-only)") {
		t.Errorf("the mount is not in %s", details)
	}
}

// TestActionsStayForScripts does so with the shell, which also runs what it finds.
func TestActionsStayForScripts(t *testing.T) {
	box := shell(t)
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Toolbox, o.Limits.Memory = box, 512<<20 }))
	main := stageAction(t, j)
	var out bytes.Buffer
	_, err := j.Run(t.Context(), &sandbox.Command{Stdout: &out, Stderr: &out, Args: []string{"sh", "-c", `
		A=/temp/_actions/octo/tool
		echo evil > $A/main.wasm && echo written
		echo evil > $A/new && echo made
		rm -rf $A /temp/_actions
		mv $A /temp/mine && echo moved
		ln -s /temp/_actions /work/hello/way; echo evil > way/octo/tool/main.wasm && echo by a link
		cd $A && $A/lib/run.sh && ./link.sh && ls`}})
	if err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"written", "made", "moved", "by a link"} {
		if strings.Contains(out.String(), "\n"+bad) || strings.HasPrefix(out.String(), bad) {
			t.Errorf("%s: %s", bad, out.String())
		}
	}
	if !strings.HasSuffix(out.String(), "from the action\nfrom the action\nlib\nlink.sh\nmain.wasm\n") {
		t.Errorf("the script says %s", out.String())
	}
	saysHello(t, j, main)
}

// TestActionsCount counts what is staged against the job's limits.
func TestActionsCount(t *testing.T) {
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Limits.Disk = 1 << 20 }))
	big := fstest.MapFS{"big": {Data: make([]byte, 700<<10)}}
	if _, err := j.Stage(t.Context(), "_actions/one", big); err != nil {
		t.Fatal(err)
	}
	c := j.put(program(0, "", w.Loop()).Bytes())
	c.Env = map[string]string{"SANDBOX_LIMIT_TIME": "100ms"}
	if _, err := j.Run(t.Context(), c); err == nil { // its files are counted again
		t.Error("an endless loop ends")
	}
	if _, err := j.Stage(t.Context(), "_actions/two", big); err == nil || !strings.Contains(err.Error(), "disk limit of 1 MiB reached") {
		t.Errorf("the second one: %v", err)
	}
	// What was copied of it is gone.
	if err := j.WriteFiles(t.Context(), []sandbox.File{{Path: "x", Data: make([]byte, 200<<10)}}); err != nil {
		t.Error(err)
	}
}
