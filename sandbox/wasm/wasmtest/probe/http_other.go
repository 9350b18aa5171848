//go:build !wasip1

package main

import "errors"

func get(string) error { return errors.New("only in the sandbox") }
