//go:build patched

package shell

import (
	"context"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// What the edits of build/patch.go add to the interpreter.

func isFunc(hc interp.HandlerContext, name string) bool { return hc.Func(name) }

func setVar(hc interp.HandlerContext, name string, v expand.Variable) { hc.SetVar(name, v) }

func descriptor(hc interp.HandlerContext, fd string) (any, bool) { return hc.Fd(fd) }

func killJob(hc interp.HandlerContext, pid string, sig int) bool { return hc.Kill(pid, sig) }

func trapOf(hc interp.HandlerContext, name string) (action string, set bool) { return hc.Trap(name) }

func setTrap(hc interp.HandlerContext, name, action string, set bool) { hc.SetTrap(name, action, set) }

func runTrap(ctx context.Context, hc interp.HandlerContext, action string) { hc.RunTrap(ctx, action) }

func setErrTrace(hc interp.HandlerContext, on bool) { hc.SetErrTrace(on) }

func withErrTrace(on bool) interp.RunnerOption { return interp.ErrTrace(on) }
