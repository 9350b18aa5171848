package module

import (
	"fmt"
	"slices"
	"strings"
)

// WASI is the name of WASI preview 1 as modules import it.
const WASI = "wasi_snapshot_preview1"

// wasiFunctions are the functions of WASI preview 1 that the sandbox has.
func wasiFunctions() []string {
	return strings.Fields(`
		args_get args_sizes_get clock_res_get clock_time_get environ_get environ_sizes_get
		fd_advise fd_allocate fd_close fd_datasync fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights
		fd_filestat_get fd_filestat_set_size fd_filestat_set_times fd_pread fd_prestat_get fd_prestat_dir_name
		fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write
		path_create_directory path_filestat_get path_filestat_set_times path_link path_open path_readlink
		path_remove_directory path_rename path_symlink path_unlink_file
		poll_oneoff proc_exit proc_raise random_get sched_yield
		sock_accept sock_recv sock_send sock_shutdown`)
}

// Runnable says why a module cannot run as a command in a sandbox that has WASI
// preview 1 and the given functions ("module.name") beside it; nil when it can.
// The error is an *Error.
func (i *Info) Runnable(functions []string) error {
	wasi := wasiFunctions()
	for _, imp := range i.Imports {
		known := imp.Module == WASI && slices.Contains(wasi, imp.Name) || slices.Contains(functions, imp.Module+"."+imp.Name)
		if known && imp.Kind == Func {
			continue
		}
		return errorf(Unsupported, -1, "it imports the %s %q of %q, which is not there; %s", imp.Kind, clip(imp.Name), clip(imp.Module), hint(imp))
	}
	start, ok := i.Export("_start")
	switch {
	case ok && start.Kind == Func:
		return nil
	case ok:
		return errorf(Unsupported, -1, "its export _start is a %s and not a function", start.Kind)
	}
	if _, reactor := i.Export("_initialize"); reactor {
		return errorf(Unsupported, -1, "it is a library (a WASI reactor, with _initialize), and commands run here: build it with a main function")
	}
	return errorf(Unsupported, -1, "it exports no function _start: build it as a command for wasip1")
}

// hint says what a module with a foreign import was built for.
func hint(imp Import) string {
	switch {
	case imp.Module == "wasi_unstable":
		return "it was built for the first snapshot of WASI: build it for wasip1"
	case strings.HasPrefix(imp.Module, "wasi:"):
		return "it was built for WASI preview 2: build it for wasip1"
	case imp.Module == "gojs" || imp.Module == "go":
		return "it was built for a browser: build it with GOOS=wasip1"
	case imp.Module == "wbg" || strings.HasPrefix(imp.Module, "__wbindgen"):
		return "it was built for JavaScript with wasm-bindgen: build it for wasm32-wasip1"
	case strings.HasPrefix(imp.Module, "wasi_ephemeral") || imp.Module == "wasi":
		return "WASI threads and other proposals are not supported: build it for wasip1 alone"
	case imp.Module == "env" || imp.Module == "a":
		return "it was built for another host, such as Emscripten's JavaScript: build it for wasip1"
	}
	return "the sandbox offers " + WASI + " only"
}

// String sums a module up in one line.
func (i *Info) String() string {
	return fmt.Sprintf("%d bytes, %d functions, %d imports, %d exports", i.Size, i.Functions, len(i.Imports), len(i.Exports))
}
