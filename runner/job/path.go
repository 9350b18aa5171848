package job

import (
	"context"
	"strings"
)

// join joins parts of a path inside the sandbox. An absolute part starts anew.
func (j *jobRun) join(parts ...string) string {
	sep := "/"
	if j.info.OS == "windows" {
		sep = `\`
	}
	path := ""
	for _, p := range parts {
		switch {
		case p == "" || p == ".":
		case path == "" || j.absolute(p):
			path = p
		default:
			path = strings.TrimRight(path, sep) + sep + strings.TrimPrefix(strings.ReplaceAll(p, "/", sep), "."+sep)
		}
	}
	return path
}

func (j *jobRun) absolute(path string) bool {
	if j.info.OS == "windows" {
		return strings.HasPrefix(path, `\`) || strings.HasPrefix(path, "/") || len(path) > 1 && path[1] == ':'
	}
	return strings.HasPrefix(path, "/")
}

// parent returns the folder of a path inside the sandbox.
func (j *jobRun) parent(path string) string {
	i := strings.LastIndexAny(path, `/\`)
	if j.info.OS != "windows" {
		i = strings.LastIndexByte(path, '/')
	}
	if i <= 0 {
		return path
	}
	return path[:i]
}

// lookPath finds a program; what it found counts as long as GITHUB_PATH does not
// change.
func (j *jobRun) lookPath(ctx context.Context, name string) (string, error) {
	key := strings.Join(append([]string{name}, j.state.path...), "\x00")
	if found, ok := j.programsFound[key]; ok {
		return found, nil
	}
	found, err := j.sandbox.LookPath(ctx, name, j.state.path)
	if err == nil {
		j.programsFound[key] = found
	}
	return found, err
}
