package checkout

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// checkName refuses the names by which a tree could write where it must not
// (gitformat-index, and git's own core.protectHFS and core.protectNTFS, because a
// workspace may lie on such a file system). No honest repository has one.
func checkName(name string) error {
	switch {
	case name == "", name == ".", name == "..":
		return errors.New("which names no file")
	case strings.ContainsAny(name, "/\x00"):
		return errors.New("which holds a separator")
	case isDotGit(name):
		return errors.New("which git reserves")
	}
	return nil
}

// isDotGit reports whether some file system takes a name for .git.
func isDotGit(name string) bool {
	// What follows a colon is a stream of the file (NTFS); a backslash separates.
	name, _, _ = strings.Cut(name, ":")
	name, _, _ = strings.Cut(name, `\`)
	name = strings.Map(func(r rune) rune {
		if ignoredByHFS(r) {
			return -1
		}
		return r
	}, name)
	name = strings.ToLower(strings.TrimRight(name, " ."))
	return name == ".git" || name == "git~1"
}

// ignoredByHFS are the characters that HFS+ leaves out of a name that it compares.
func ignoredByHFS(r rune) bool {
	return r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x206a && r <= 0x206f || r == 0xfeff
}

// odd reports whether a name cannot be told to every program in a sandbox.
func odd(name string) bool { return !utf8.ValidString(name) || strings.Contains(name, `\`) }
