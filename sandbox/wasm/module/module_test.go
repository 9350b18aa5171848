package module_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"otelrunner/sandbox/wasm/module"
	w "otelrunner/sandbox/wasm/wasmtest"
)

func ok() w.Module {
	return w.Module{Imports: []w.Import{w.ProcExit()}, Funcs: []w.Func{{Body: w.Cat(w.Const(0), w.Call(0))}}, Pages: 1}
}

// bad are modules that are refused, each with a part of its sentence.
func bad() map[string]struct {
	data []byte
	want string
} {
	good := ok().Bytes()
	head := good[:8]
	with := func(sections ...[]byte) []byte { return append(bytes.Clone(head), w.Cat(sections...)...) }
	many := func(n int) []byte { // a section of empty things
		return w.Cat(w.U(uint64(n)), make([]byte, n*3))
	}
	type c = struct {
		data []byte
		want string
	}
	return map[string]c{
		"empty":          {nil, "the file is empty"},
		"half a header":  {good[:6], "truncated"},
		"a few bytes":    {good[:3], "truncated"},
		"truncated":      {good[:len(good)-3], "truncated"},
		"text":           {[]byte("\n (module)"), "WebAssembly text"},
		"a script":       {[]byte("#!/bin/sh\n"), "script"},
		"ELF":            {[]byte("\x7fELF\x02\x01\x01"), "Linux program"},
		"LFS":            {[]byte("version https://git-lfs.github.com/spec/v1\n"), "Git LFS"},
		"HTML":           {[]byte("<!DOCTYPE html>"), "does not start with"},
		"a component":    {append([]byte("\x00asm\x0d\x00\x01\x00"), good[8:]...), "component"},
		"version 2":      {[]byte("\x00asm\x02\x00\x00\x00"), "version 2"},
		"unknown part":   {with(w.Section(99, nil)), "unknown kind 99"},
		"exceptions":     {with(w.Section(13, []byte{0})), "exceptions"},
		"twice":          {with(w.Section(1, []byte{0}), w.Section(1, []byte{0})), "twice"},
		"order":          {with(w.Section(3, []byte{0}), w.Section(1, []byte{0})), "wrong place"},
		"huge section":   {with([]byte{1}, w.U(1<<31)), "truncated"},
		"huge custom":    {with(w.Section(0, make([]byte, 33<<20))), "strip"},
		"long number":    {with([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "more than 32 bits"},
		"exports":        {with(w.Section(7, many(1_000_000))), "1000000 exports"},
		"imports":        {with(w.Section(2, many(20_000))), "20000 imports"},
		"announced":      {with(w.Section(7, w.U(50_000))), "announces 50000 exports"},
		"a name":         {with(w.Section(7, []byte{1, 2, 0xff, 0xff, 0, 0})), "not UTF-8"},
		"left over":      {with(w.Section(7, []byte{0, 1, 2})), "2 bytes too many"},
		"memory":         {with(w.Section(5, w.Cat([]byte{1, 0}, w.U(60_000)))), "starts with 3750 MiB"},
		"pages":          {with(w.Section(5, w.Cat([]byte{1, 0}, w.U(70_000)))), "65536"},
		"two memories":   {with(w.Section(5, []byte{2, 0, 1, 0, 1})), "2 memories"},
		"min over max":   {with(w.Section(5, []byte{1, 1, 5, 2})), "under its minimum"},
		"shared":         {with(w.Section(5, []byte{1, 3, 1, 1})), "threads"},
		"64 bit":         {with(w.Section(5, []byte{1, 4, 1})), "64-bit"},
		"tables":         {w.Module{Funcs: ok().Funcs, Imports: ok().Imports, Tables: [][2]uint32{{1 << 27}, {1 << 27}, {1 << 27}, {1 << 27}}}.Bytes(), "134217728 elements"},
		"sum of tables":  {w.Module{Funcs: ok().Funcs, Imports: ok().Imports, Tables: [][2]uint32{{9_000_000}, {9_000_000}}}.Bytes(), "18000000 elements"},
		"locals":         {with(w.Section(3, []byte{1, 0}), w.Section(10, w.Cat([]byte{1}, w.U(7), []byte{1}, w.U(1<<27), []byte{0x7f, 0x0b}))), "134217728 local"},
		"no code":        {with(w.Section(3, []byte{1, 0})), "1 functions and has code for 0"},
		"function size":  {with(w.Section(3, []byte{1, 0}), w.Section(10, w.Cat([]byte{1}, w.U(9<<20), make([]byte, 9<<20)))), "the limit is 8388608"},
		"the whole size": {make([]byte, 65<<20), "the limit is 67108864"},
	}
}

func TestRefused(t *testing.T) {
	for name, c := range bad() {
		start := time.Now()
		_, err := module.Scan(c.data, module.Limits{Memory: 2 << 30})
		var e *module.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
			continue
		}
		if strings.ContainsAny(err.Error(), "\n\r\x1b") || len(err.Error()) > 300 {
			t.Errorf("%s: not one short line: %q", name, err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

func TestRunnable(t *testing.T) {
	imports := func(mod, name string) w.Module {
		m := ok()
		m.Imports = append(m.Imports, w.Import{Module: mod, Name: name})
		return m
	}
	for _, c := range []struct {
		module w.Module
		want   string
	}{
		{ok(), ""},
		{imports("otelrunner", "spawn"), ""},
		{imports("otelrunner", "other"), `"other" of "otelrunner"`},
		{imports("env", "emscripten_run"), "Emscripten"},
		{imports("wasi_unstable", "fd_write"), "first snapshot"},
		{imports("wasi:cli/run@0.2.0", "run"), "preview 2"},
		{imports("gojs", "x"), "GOOS=wasip1"},
		{imports("wasi_snapshot_preview1", "sock_open\x1b[31m\n::error::x"), `\n::error`},
		{imports("wasi_snapshot_preview1", strings.Repeat("x", 500)), "xxx…"},
	} {
		info, err := module.Scan(c.module.Bytes(), module.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		err = info.Runnable([]string{"otelrunner.spawn"})
		switch {
		case c.want == "" && err != nil:
			t.Error(err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v, want …%s…", err, c.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q", err)
		}
	}
	head := ok().Bytes()[:8]
	info, err := module.Scan(head, module.Limits{})
	if err != nil || !strings.Contains(info.Runnable(nil).Error(), "_start") {
		t.Errorf("an empty module: %v, %v", info.Runnable(nil), err)
	}
}

// TestClamp lets a module grow its table until it fails, and compares with the
// limit; without Clamp it grows as far as memory reaches.
func TestClamp(t *testing.T) {
	for _, tables := range [][][2]uint32{{{1, 0}}, {{1, 5000}}, {{10, 20}}, {{400, 0}, {500, 0}}} {
		m := ok()
		m.Tables = tables
		// table.grow(0, null, 100) until it returns -1
		m.Funcs = []w.Func{{Body: w.Cat(w.While(w.Op(0xd0, 0x70), w.Const(100), w.Op(0xfc, 15, 0), w.Const(-1), w.Op(0x47)), w.Op(0xfc, 16, 0), w.Call(0))}}
		data := m.Bytes()
		info, err := module.Scan(data, module.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		clamped := info.Clamp(data, 1000)
		if _, err := module.Scan(clamped, module.Limits{}); err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
		size := uint32(0)
		_, err = r.NewHostModuleBuilder("wasi_snapshot_preview1").NewFunctionBuilder().
			WithFunc(func(n uint32) { size = n }).Export("proc_exit").Instantiate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Instantiate(ctx, clamped); err != nil {
			t.Fatal(err)
		}
		if size == 0 || size > 1000 || tables[0][1] > 0 && size > tables[0][1] {
			t.Errorf("%v: the table has grown to %d", tables, size)
		}
		_ = r.Close(ctx)
	}
	plain := ok().Bytes()
	info, _ := module.Scan(plain, module.Limits{})
	if !bytes.Equal(info.Clamp(plain, 1), plain) {
		t.Error("a module without tables is changed")
	}
}

// FuzzScan looks for panics, for sentences of more than a line, and for clamped
// modules that cannot be read.
func FuzzScan(f *testing.F) {
	f.Add(ok().Bytes())
	for _, c := range bad() {
		if len(c.data) < 1<<16 {
			f.Add(c.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := module.Scan(data, module.Limits{Memory: 1 << 20, TableElements: 1000})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%q", err)
			}
			return
		}
		_ = info.Runnable(nil)
		if clamped := info.Clamp(info.Join(data), 2000); len(info.Tables) > 0 || len(clamped) != len(data) {
			if _, err := module.Scan(clamped, module.Limits{}); err != nil {
				t.Errorf("clamped: %v", err)
			}
		}
	})
}
