package wasm

import (
	"time"

	"otelrunner/sandbox/wasm/module"
	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/wire"
)

// Limits bound one step; a field that is 0 takes the default. Files, Disk and
// FileSize count over the job, as its files stay.
type Limits struct {
	Wall          time.Duration // default 6 h
	CPU           time.Duration // of all its threads; default 1 h
	Memory        int64         // of all its modules together, in bytes; default 512 MiB
	Output        int64         // stdout and stderr together, in bytes; default 64 MiB
	OpenFiles     int64         // default 512
	Disk          int64         // bytes; default 4 GiB
	Files         int64         // files, folders and links; default 200,000
	FileSize      int64         // of one file, in bytes; default 1 GiB
	TableElements int64         // of a module's tables; default 10,000,000
	ModuleSize    int64         // bytes; default 64 MiB
	Children      int64         // programs at a time; default 32
	Fuel          int64         // instructions of each program; default 0: no limit, and none is counted
	Compile       time.Duration // CPU time to compile one module; default 2 min
}

// DefaultLimits are the limits where nobody says otherwise.
func DefaultLimits() Limits {
	return Limits{
		Wall: 6 * time.Hour, CPU: time.Hour, Memory: 512 << 20, Output: 64 << 20, OpenFiles: 512,
		Disk: 4 << 30, Files: 200_000, FileSize: 1 << 30, TableElements: module.DefaultTableElements,
		ModuleSize: module.DefaultSize, Children: 32, Compile: 2 * time.Minute,
	}
}

// Or returns l with the fields of other where its own are 0.
func (l Limits) Or(other Limits) Limits { return l.each(other, func(a, b int64) int64 { return a }) }

// Lower returns l with each field that is smaller in other lowered to it: how a
// workflow asks for less than the operator allows. A 0 asks for nothing.
func (l Limits) Lower(other Limits) Limits {
	return l.each(other, func(a, b int64) int64 { return min(a, b) })
}

// each combines two limits field by field, where both are set.
func (l Limits) each(other Limits, both func(a, b int64) int64) Limits {
	pick := func(a *int64, b int64) {
		switch {
		case *a <= 0:
			*a = b
		case b > 0:
			*a = both(*a, b)
		}
	}
	for _, f := range []struct {
		a *int64
		b int64
	}{
		{(*int64)(&l.Wall), int64(other.Wall)}, {(*int64)(&l.CPU), int64(other.CPU)}, {(*int64)(&l.Compile), int64(other.Compile)},
		{&l.Memory, other.Memory}, {&l.Output, other.Output}, {&l.OpenFiles, other.OpenFiles}, {&l.Disk, other.Disk},
		{&l.Files, other.Files}, {&l.FileSize, other.FileSize}, {&l.TableElements, other.TableElements},
		{&l.ModuleSize, other.ModuleSize}, {&l.Children, other.Children}, {&l.Fuel, other.Fuel},
	} {
		pick(f.a, f.b)
	}
	return l
}

func (l Limits) wire() wire.Limits {
	disk := l.disk()
	disk.Open = l.OpenFiles
	return wire.Limits{Memory: l.Memory, ModuleSize: l.ModuleSize, Children: int(l.Children), Fuel: l.Fuel, Disk: disk}
}

// disk are the limits of a job's files, for the runner's own writes too.
func (l Limits) disk() rootfs.Limits {
	return rootfs.Limits{Bytes: l.Disk, Files: l.Files, FileSize: l.FileSize}
}
