package sandbox

import (
	"io"
	"io/fs"
)

// A FileKeeper is a Sandbox whose files the runner may change one by one, with
// contents and names that it does not trust. It is used between two commands.
type FileKeeper interface {
	Sandbox
	Files() Files
}

// Files changes the files of a sandbox by absolute paths inside. Nothing leads out
// of the sandbox; a symbolic link in it leads to where a step would get by it.
// Errors match fs.ErrNotExist and fs.ErrExist.
type Files interface {
	// Lstat gives the type and permissions of what is there; it follows no
	// link at the path's end.
	Lstat(name string) (fs.FileMode, error)
	// ReadDir lists the names in a folder, in order.
	ReadDir(name string) ([]string, error)
	// RemoveAll removes a file, link or folder with all that is in it. What is
	// not there is no error.
	RemoveAll(name string) error
	// Mkdir makes one folder.
	Mkdir(name string) error
	// Create writes a new file; one that is there is an error.
	Create(name string, mode fs.FileMode, data io.Reader) error
	// Symlink makes a link; the target may be anything.
	Symlink(target, name string) error
}
