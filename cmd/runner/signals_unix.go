//go:build !windows

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// requests subscribes to what asks a running runner for something else than its
// end.
func requests() (drain, reload <-chan os.Signal, end func()) {
	d, r := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(d, syscall.SIGUSR1)
	signal.Notify(r, syscall.SIGHUP)
	return d, r, func() { signal.Stop(d); signal.Stop(r) }
}
