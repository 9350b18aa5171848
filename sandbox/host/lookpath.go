package host

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"otelrunner/sandbox"
)

// LookPath finds an executable as Run would.
func (j *job) LookPath(_ context.Context, name string, path []string) (string, error) {
	env := j.env.clone()
	env.prependPath(path)
	var found string
	var err error
	j.as(func() { found, err = j.lookPath(name, j.workspace, env) })
	return found, err
}

// lookPath finds name: as it is, relative to dir, when it has a separator, else
// in the PATH of env, whose relative entries are ignored: they would make what
// runs depend on where.
func (j *job) lookPath(name, dir string, env environment) (string, error) {
	if name == "" {
		return "", &sandbox.NotFoundError{Name: `""`, Hint: "no program is named"}
	}
	if hasSeparator(name) {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		found, hint := executable(file, env)
		if found == "" {
			return "", &sandbox.NotFoundError{Name: name, Hint: hint}
		}
		return found, nil
	}
	var hint string
	for _, folder := range filepath.SplitList(env.get("PATH")) {
		if !filepath.IsAbs(folder) {
			continue
		}
		found, why := executable(filepath.Join(folder, name), env)
		if found != "" {
			return found, nil
		}
		if hint == "" {
			hint = why
		}
	}
	return "", &sandbox.NotFoundError{Name: name, Hint: hint}
}

func hasSeparator(name string) bool {
	if runtime.GOOS == "windows" {
		return strings.ContainsAny(name, `\/:`)
	}
	return strings.Contains(name, "/")
}

// executable returns the file to run for a path, "" and perhaps a hint when
// there is none.
func executable(file string, env environment) (found, hint string) {
	if runtime.GOOS != "windows" {
		info, err := os.Stat(file)
		switch {
		case err != nil:
			return "", ""
		case info.IsDir():
			return "", ""
		case info.Mode()&0o111 == 0:
			return "", file + " is there but not executable (chmod +x)"
		}
		return file, ""
	}
	extensions := strings.Split(strings.ToLower(env.get("PATHEXT")), ";")
	if env.get("PATHEXT") == "" {
		extensions = []string{".com", ".exe", ".bat", ".cmd"}
	}
	candidates := make([]string, 0, len(extensions)+1)
	if filepath.Ext(file) != "" {
		candidates = append(candidates, file)
	}
	for _, extension := range extensions {
		if extension != "" {
			candidates = append(candidates, file+extension)
		}
	}
	for _, candidate := range candidates {
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() {
			return candidate, ""
		}
	}
	return "", ""
}
