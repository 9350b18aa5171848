//go:build !cgo

package wasm

import "syscall"

// pidNamespace is the flag for a process namespace of the worker's own.
const pidNamespace = syscall.CLONE_NEWPID

const namespaceNames = "user, network, IPC and process namespaces"
