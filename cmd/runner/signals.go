package main

import (
	"os"
	"os/signal"
	"syscall"
)

// interrupts subscribes to what asks a program to end. The channel holds the few
// that may come before they are read.
func interrupts() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c, func() { signal.Stop(c) }
}
