// Package report brings what a job says to the server: its rows, the state of
// its steps, its outputs and summaries.
//
// A row goes one way:
//
//	Row: clean → mask → split → store (journal, memory) → batch → UpdateLog
//
// Everything is masked before it is stored anywhere; what is behind store never
// sees a secret. Where there is a journal, a row is handed to the system before it
// is sent, and rows for which memory has no room are read back from it.
//
// One goroutine a task owns sending. What it does next is decided in one place
// (Reporter.next) from the state that the other methods leave behind: they
// change that state and wake it, and never send themselves.
//
// The rules of the wire are those of Gitea's runner service as servers of 2026
// implement it: UpdateLog stores rows from the index that it wants next and
// acknowledges that index; UpdateTask's answer is the only way to learn that a
// task was stopped.
package report
