//go:build !linux

package worker

func dieOfCPULimit() {}

func dieFirst() {}
