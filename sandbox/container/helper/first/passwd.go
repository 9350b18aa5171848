package first

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// account is a user of a container, with where its home folder is.
type account struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

// lookup finds a user in the form of `docker run --user`: USER or USER:GROUP,
// each a name or a number, in the passwd(5) and group(5) of a folder. A number
// needs no entry. The groups of USER without GROUP are those of its entry.
func lookup(etc, user string) (account, error) {
	name, group, hasGroup := strings.Cut(user, ":")
	a, known, err := lookupUser(etc, name)
	if err != nil {
		return account{}, err
	}
	switch {
	case hasGroup:
		a.gid, err = lookupGroup(etc, group)
	case known != "":
		a.groups, err = memberships(etc, known)
	}
	return a, err
}

// lookupUser returns the user's name as well, "" where it has no entry.
func lookupUser(etc, name string) (account, string, error) {
	found := account{home: "/"}
	known := ""
	number, nerr := strconv.ParseUint(name, 10, 31)
	err := eachLine(etc+"/passwd", func(fields []string) bool {
		if len(fields) < 6 || fields[0] != name && (nerr != nil || fields[2] != name) {
			return true
		}
		uid, uerr := strconv.ParseUint(fields[2], 10, 31)
		gid, gerr := strconv.ParseUint(fields[3], 10, 31)
		if uerr != nil || gerr != nil {
			return true
		}
		found.uid, found.gid, known = uint32(uid), uint32(gid), fields[0]
		if strings.HasPrefix(fields[5], "/") {
			found.home = fields[5]
		}
		return fields[0] != name // a name goes before a number
	})
	if err != nil {
		return account{}, "", err
	}
	if known == "" && nerr != nil {
		return account{}, "", fmt.Errorf("the image has no user %q in %s/passwd: use its number (uid or uid:gid)", name, etc)
	}
	if known == "" {
		found.uid = uint32(number)
	}
	return found, known, nil
}

func lookupGroup(etc, name string) (uint32, error) {
	if number, err := strconv.ParseUint(name, 10, 31); err == nil {
		return uint32(number), nil
	}
	gid, known := uint32(0), false
	err := eachLine(etc+"/group", func(fields []string) bool {
		if len(fields) < 3 || fields[0] != name {
			return true
		}
		number, err := strconv.ParseUint(fields[2], 10, 31)
		gid, known = uint32(number), err == nil
		return !known
	})
	if err == nil && !known {
		err = fmt.Errorf("the image has no group %q in %s/group: use its number", name, etc)
	}
	return gid, err
}

// memberships are the groups that list a user.
func memberships(etc, name string) ([]uint32, error) {
	var groups []uint32
	err := eachLine(etc+"/group", func(fields []string) bool {
		if len(fields) < 4 || !slices.Contains(strings.Split(fields[3], ","), name) {
			return true
		}
		if number, err := strconv.ParseUint(fields[2], 10, 31); err == nil {
			groups = append(groups, uint32(number))
		}
		return true
	})
	return groups, err
}

// maxTable bounds a file that an image brings.
const maxTable = 16 << 20

// eachLine reads the lines of a table with : between fields until visit returns
// false. A file that is not there has none.
func eachLine(path string, visit func(fields []string) bool) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(io.LimitReader(f, maxTable))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !visit(strings.Split(strings.TrimSpace(lines.Text()), ":")) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
