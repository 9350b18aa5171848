package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// RemoveAll removes everything in a root, whatever a guest has built there: a
// tree may be deeper than paths or open files reach, so that folders are moved
// to the top before they are looked into, and a folder's permissions may forbid
// both. It must be the only one that writes there.
func RemoveAll(root *os.Root) error {
	next := 0
	for {
		entries, err := list(root, ".")
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			if err := flatten(root, e, &next); err != nil {
				return err
			}
		}
	}
}

// flatten removes an entry at the top, after what folders it holds have become
// entries at the top.
func flatten(root *os.Root, e fs.DirEntry, next *int) error {
	name := e.Name()
	if !e.IsDir() {
		return gone(root.Remove(name))
	}
	if root.Remove(name) == nil {
		return nil
	}
	children, err := list(root, name)
	if err != nil {
		return err
	}
	for _, c := range children {
		from := name + "/" + c.Name()
		if !c.IsDir() {
			err = gone(root.Remove(from))
		} else if root.Remove(from) != nil {
			err = lift(root, from, next)
		}
		if err != nil {
			return err
		}
	}
	return gone(root.Remove(name))
}

// lift moves a folder to the top, under a name that is free there.
func lift(root *os.Root, from string, next *int) error {
	// Moving a folder changes its .., for which it must be writable.
	if err := root.Chmod(from, 0o700); err != nil {
		return fmt.Errorf("remove %s: %w", from, err)
	}
	for {
		to := ".gone-" + strconv.Itoa(*next)
		*next++
		if _, err := root.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return root.Rename(from, to)
	}
}

// list lists a folder, which gets the permissions that this takes.
func list(root *os.Root, name string) ([]fs.DirEntry, error) {
	if name != "." {
		if err := root.Chmod(name, 0o700); err != nil {
			return nil, fmt.Errorf("remove %s: %w", name, err)
		}
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("remove what is in %s: %w", name, err)
	}
	entries, err := f.ReadDir(-1)
	return entries, errors.Join(err, f.Close())
}

// gone is err, unless it says that it is gone already.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
