package job

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/task"
)

// rowSink keeps rows and masks.
type rowSink struct {
	rows  []string
	masks []string
	count int
	panic string // panic when this row comes
}

func (s *rowSink) Row(_ time.Time, line string) {
	if s.panic != "" && line == s.panic {
		panic("told to")
	}
	s.count++
	if s.rows != nil {
		s.rows = append(s.rows, line)
	}
}
func (*rowSink) StepStarted(int, time.Time)               {}
func (*rowSink) StepFinished(int, task.Result, time.Time) {}
func (s *rowSink) AddMask(value string)                   { s.masks = append(s.masks, value) }
func (*rowSink) SetOutput(string, string)                 {}
func (*rowSink) SetSummary(int, []byte)                   {}

func testOutput(s *rowSink, debug bool) *output {
	none := func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	return newOutput(rows{sink: s, debug: debug}, &matchers{}, none, false)
}

// A panic of ours on the sandbox's goroutine comes out on the step's.
func TestOutputKeepsPanics(t *testing.T) {
	o := testOutput(&rowSink{panic: "bad"}, false)
	if n, err := o.Write([]byte("good\nbad\nmore\n")); n != 14 || err != nil {
		t.Errorf("Write gave %d, %v", n, err)
	}
	if n, err := o.Write([]byte("more\n")); n != 5 || err != nil {
		t.Errorf("the next Write gave %d, %v", n, err)
	}
	defer func() {
		if v := recover(); v != "told to" {
			t.Errorf("close panicked with %v", v)
		}
	}()
	o.close()
}

func TestMultilineMask(t *testing.T) {
	s := &rowSink{}
	o := testOutput(s, true)
	_, _ = o.Write([]byte("::add-mask::one%0Atwo\n::add-mask::  \n"))
	o.close()
	if !slices.Equal(s.masks, []string{"one\ntwo"}) {
		t.Errorf("masks %q", s.masks)
	}
}

func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"":                "",
		"plain":           "plain",
		"::error::x":      " ::error::x",
		"::error":         " ::error",
		"::errors::":      " ::errors::",
		"::x::":           "::x::",
		"##[group]x":      " ##[group]x",
		"##[section]x":    "##[section]x",
		"[command]x":      "[command]x",
		"::add-matcher::": " ::add-matcher::",
	} {
		if got := harmless([]byte(in)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestMatcherErrors(t *testing.T) {
	for in, want := range map[string]string{
		``:                                   "expected JSON",
		`{}`:                                 "found none",
		`{"problemMatcher":[{}]}`:            "no owner",
		`{"problemMatcher":[{"owner":"a"}]}`: "no pattern",
		`{"problemMatcher":[{"owner":"a","pattern":[{}]}]}`:                                       "has no regexp",
		`{"problemMatcher":[{"owner":"a","pattern":[{"regexp":"(x"}]}]}`:                          "cannot be read",
		`{"problemMatcher":[{"owner":"a","pattern":[{"regexp":"x","file":1}]}]}`:                  "0 groups",
		`{"problemMatcher":[{"owner":"a","pattern":[{"regexp":"(x)","message":1,"loop":true}]}]}`: "loop",
	} {
		m := &matchers{}
		if err := m.add([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", in, err, want)
		}
	}
}

// FuzzOutput: whatever a program prints, in whatever pieces: no panic, no row
// with a line's end, no mask printed, and a stopped output shows no command.
func FuzzOutput(f *testing.F) {
	for _, s := range []string{
		"::error file=a::x\n", "::stop-commands::tok\n::error::x\n::tok::\n", "::group::a\r\n##[endgroup]\n",
		"::add-mask::x%0Ay\n", "::set-output name=a::b\n::save-state name=::\n", "::echo::on\n::debug::x\n", "::add-matcher::f\n",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		s := &rowSink{rows: []string{}}
		o := testOutput(s, true)
		for p := range slices.Chunk(in, int(size)+1) {
			_, _ = o.Write(p)
		}
		o.close()
		for _, r := range s.rows {
			if strings.Contains(r, "\n") {
				t.Fatalf("the row %q has a line's end", r)
			}
		}
		stopped := &rowSink{rows: []string{}}
		o = testOutput(stopped, false)
		_, _ = o.Write([]byte("::stop-commands::fuzz-token\n"))
		_, _ = o.Write(in)
		o.close()
		if strings.Contains(strings.ToLower(string(in)), "fuzz-token") {
			return
		}
		for _, r := range stopped.rows[1:] {
			for _, p := range pagePrefixes {
				if strings.HasPrefix(r, string(p)) {
					t.Fatalf("the row %q shows a command that was not obeyed", r)
				}
			}
		}
		if len(stopped.masks) > 0 || len(o.effects.outputs)+len(o.effects.state) > 0 || o.effects.failed {
			t.Fatalf("a stopped output has effects: %+v, masks %q", o.effects, stopped.masks)
		}
	})
}

// BenchmarkOutput is the engine's share of a row: one allocation, the row's.
func BenchmarkOutput(b *testing.B) {
	chunk := bytes.Repeat([]byte("a row of a usual length, as compilers print them by the thousand\n"), 500)
	s := &rowSink{}
	o := testOutput(s, false)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = o.Write(chunk)
	}
	b.ReportMetric(float64(s.count)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(0, "ns/op")
}

func TestSplitWords(t *testing.T) {
	for in, want := range map[string][]string{
		"":                nil,
		"a  b\tc":         {"a", "b", "c"},
		`a "b c" 'd "e'`:  {"a", "b c", `d "e`},
		`x'y z'w ""`:      {"xy zw", ""},
		`C:\bin\perl {0}`: {`C:\bin\perl`, "{0}"},
	} {
		if got, err := splitWords(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := splitWords(`a "b`); err == nil {
		t.Error("an open quote is no error")
	}
}

func TestShellFiles(t *testing.T) {
	sh, err := namedShell("CMD")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(sh.script("dir\ntype x")); got != "@echo off\r\ndir\r\ntype x\r\n" {
		t.Errorf("script %q", got)
	}
	if got := sh.command(`C:\t\s.cmd`); !slices.Equal(got, []string{"cmd", "/D", "/E:ON", "/V:OFF", "/S", "/C", "CALL", `C:\t\s.cmd`}) {
		t.Errorf("command %q", got)
	}
	sh, _ = namedShell("pwsh")
	if got := string(sh.script("ls")); !strings.HasPrefix(got, "$ErrorActionPreference = 'stop'\nls\nif ((Test-Path") {
		t.Errorf("script %q", got)
	}
	if _, err := namedShell("fish"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unknown shell gives %v", err)
	}
}
