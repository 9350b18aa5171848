package shell

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// signals are the names of trap and kill by Linux's numbers, and behind them the
// events that bash counts as signals.
var signals = []string{
	"EXIT", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
	"TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH",
	"IO", "PWR", "SYS", "DEBUG", "ERR", "RETURN",
}

// numberOfSignals is how many of them are signals.
const numberOfSignals = 32

// signalNumber is the index of a signal in signals, -1 of what is none.
func signalNumber(name string) int {
	if n, err := strconv.Atoi(name); err == nil {
		if n >= 0 && n < numberOfSignals {
			return n
		}
		return -1
	}
	return slices.Index(signals, strings.TrimPrefix(strings.ToUpper(name), "SIG"))
}

// setTraps is the builtin trap.
func setTraps(_ context.Context, hc interp.HandlerContext, args []string) int {
	args, show := args[1:], false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		flag := args[0]
		args = args[1:]
		switch flag {
		case "--":
		case "-p":
			show = true
			continue
		case "-l":
			fmt.Fprintln(hc.Stdout, strings.Join(signals[1:numberOfSignals], " "))
			return 0
		default:
			fmt.Fprintf(hc.Stderr, "trap: %s: invalid option\ntrap: usage: trap [-lp] [[arg] signal_spec ...]\n", flag)
			return 2
		}
		break
	}
	if show || len(args) == 0 {
		return showTraps(hc, args)
	}
	action, set := args[0], args[0] != "-"
	if _, err := strconv.Atoi(action); len(args) == 1 || err == nil {
		set = false // without an action the default is meant
	} else {
		args = args[1:]
	}
	if !set {
		action = ""
	}
	status := 0
	for _, name := range args {
		n := signalNumber(name)
		if n < 0 {
			if name != "-" {
				fmt.Fprintf(hc.Stderr, "trap: %s: invalid signal specification\n", name)
				status = 1
			}
			continue
		}
		setTrap(hc, signals[n], action, set)
	}
	return status
}

// showTraps writes traps as commands that set them.
func showTraps(hc interp.HandlerContext, only []string) int {
	if len(only) == 0 {
		only = signals
	}
	status := 0
	for _, name := range only {
		n := signalNumber(name)
		if n < 0 {
			fmt.Fprintf(hc.Stderr, "trap: %s: invalid signal specification\n", name)
			status = 1
			continue
		}
		action, set := trapOf(hc, signals[n])
		if !set {
			continue
		}
		prefix := ""
		if n > 0 && n < numberOfSignals {
			prefix = "SIG"
		}
		fmt.Fprintf(hc.Stdout, "trap -- '%s' %s%s\n", strings.ReplaceAll(action, "'", `'\''`), prefix, signals[n])
	}
	return status
}

// trapped gives a signal to the shell's own trap, and reports whether it has one.
func trapped(ctx context.Context, hc interp.HandlerContext, sig int) bool {
	if sig >= numberOfSignals || signals[sig] == "KILL" || signals[sig] == "STOP" {
		return false
	}
	action, set := trapOf(hc, signals[sig])
	if set {
		runTrap(ctx, hc, action)
	}
	return set
}

// selfPID is $$, see build/patch.go.
const selfPID = "1"

func runKill(ctx context.Context, hc interp.HandlerContext, args []string) int {
	sig := 15
	args = args[1:]
	if len(args) > 0 && args[0] == "-l" {
		fmt.Fprintln(hc.Stdout, strings.Join(signals[1:numberOfSignals], " "))
		return 0
	}
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		name := args[0][1:]
		args = args[1:]
		if name == "s" && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		if name != "-" { // -- ends the options
			n, err := strconv.Atoi(name)
			if err != nil {
				n = signalNumber(name)
			}
			if n < 0 || n == 0 && err != nil {
				fmt.Fprintf(hc.Stderr, "kill: %s: invalid signal specification\n", name)
				return 1
			}
			sig = n
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(hc.Stderr, "kill: usage: kill [-s sigspec | -n signum | -sigspec] pid")
		return 2
	}
	status := 0
	for _, pid := range args {
		pid = strings.TrimPrefix(pid, "%")
		if pid == selfPID && (sig == 0 || trapped(ctx, hc, sig) || endProcess(sig)) {
			continue
		}
		if !killJob(hc, pid, sig) {
			fmt.Fprintf(hc.Stderr, "kill: (%s) - No such process; only this shell ($$) and its own background jobs ($!) can be ended\n", pid)
			status = 1
		}
	}
	return status
}
