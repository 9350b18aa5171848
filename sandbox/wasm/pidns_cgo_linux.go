//go:build cgo

package wasm

// pidNamespace is off where the program has C threads: the library that jails all
// of them looks for them in /proc, which in a process namespace of its own shows
// other processes' threads, and waits for ever.
const pidNamespace = 0

const namespaceNames = "user, network and IPC namespaces"
