//go:build !patched

package shell

import (
	"context"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// Without the edits of build/patch.go the package compiles, so that editors and
// linters work, and does not do what it says. Tests skip what needs them.

func isFunc(interp.HandlerContext, string) bool { return false }

func setVar(interp.HandlerContext, string, expand.Variable) {}

func descriptor(interp.HandlerContext, string) (any, bool) { return nil, false }

func killJob(interp.HandlerContext, string, int) bool { return false }

func trapOf(interp.HandlerContext, string) (action string, set bool) { return "", false }

func setTrap(interp.HandlerContext, string, string, bool) {}

func runTrap(context.Context, interp.HandlerContext, string) {}

func setErrTrace(interp.HandlerContext, bool) {}

func withErrTrace(bool) interp.RunnerOption { return func(*interp.Runner) error { return nil } }
