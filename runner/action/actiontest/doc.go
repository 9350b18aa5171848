// Package actiontest is a git server in this process: repositories built in
// memory from maps, served by the smart HTTP protocol to any git client. Suites,
// the demo and the benchmarks take actions from it, so that none of them needs a
// network or a git binary.
package actiontest
