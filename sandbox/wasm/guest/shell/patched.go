//go:build patched

package shell

import (
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// What the edits of build/patch.go add to the interpreter.

func isFunc(hc interp.HandlerContext, name string) bool { return hc.Func(name) }

func setVar(hc interp.HandlerContext, name string, v expand.Variable) { hc.SetVar(name, v) }

func descriptor(hc interp.HandlerContext, fd string) (any, bool) { return hc.Fd(fd) }

func killJob(hc interp.HandlerContext, pid string, sig int) bool { return hc.Kill(pid, sig) }
