package host

import (
	"maps"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// passed are the variables of the runner's environment that steps see, and the
// only ones: the runner's own settings, its token and OTEL_* are not theirs.
var passed = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "LANG", "LANGUAGE",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy", "ftp_proxy",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// passedWindows are those without which programs on Windows do not start or do
// not find their files.
var passedWindows = []string{
	"ALLUSERSPROFILE", "APPDATA", "COMMONPROGRAMFILES", "COMMONPROGRAMFILES(X86)",
	"COMMONPROGRAMW6432", "COMPUTERNAME", "COMSPEC", "DRIVERDATA", "HOMEDRIVE", "HOMEPATH",
	"LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "OS", "PATHEXT", "PROCESSOR_ARCHITECTURE",
	"PROCESSOR_IDENTIFIER", "PROCESSOR_LEVEL", "PROCESSOR_REVISION", "PROGRAMDATA",
	"PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "PSMODULEPATH", "PUBLIC",
	"SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERDOMAIN", "USERNAME", "USERPROFILE", "WINDIR",
}

// trackingVariable names what a job's processes carry in their environment. It
// has the name that GitHub's runner gives it; other than there, a step that
// changes it does not save its processes from the end of the job.
const trackingVariable = "RUNNER_TRACKING_ID"

// defaultPath is PATH where there is none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is a set of variables. On Windows names are compared without
// case, as the system does.
type environment struct {
	values map[string]string // by key
	names  map[string]string // key → name as it was spelled last
}

func variableKey(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}

// inherited picks the variables that steps see from KEY=value pairs.
func inherited(environ []string) environment {
	want := map[string]bool{}
	for _, name := range passed {
		want[variableKey(name)] = true
	}
	if runtime.GOOS == "windows" {
		for _, name := range passedWindows {
			want[name] = true
		}
	}
	e := environment{values: map[string]string{}, names: map[string]string{}}
	for _, pair := range environ {
		name, value, ok := strings.Cut(pair, "=")
		if ok && (want[variableKey(name)] || strings.HasPrefix(name, "LC_")) {
			e.set(name, value)
		}
	}
	if e.get("PATH") == "" && runtime.GOOS != "windows" {
		e.set("PATH", defaultPath)
	}
	return e
}

// ensureHome returns HOME, and sets it where a service manager has not.
func (e environment) ensureHome(fallback string) string {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	if home := e.get(name); home != "" {
		return home
	}
	home := fallback
	if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
		home = u.HomeDir
	}
	e.set(name, home)
	return home
}

// setTemp sets where programs put their temporary files.
func (e environment) setTemp(folder string) {
	e.set("TMPDIR", folder)
	if runtime.GOOS == "windows" {
		e.set("TEMP", folder)
		e.set("TMP", folder)
	}
}

func (e environment) get(name string) string { return e.values[variableKey(name)] }

func (e environment) set(name, value string) {
	key := variableKey(name)
	e.values[key] = value
	e.names[key] = name
}

func (e environment) setAll(values map[string]string) {
	for name, value := range values {
		e.set(name, value)
	}
}

func (e environment) clone() environment {
	return environment{values: maps.Clone(e.values), names: maps.Clone(e.names)}
}

// prependPath puts folders before PATH, first entry first.
func (e environment) prependPath(folders []string) {
	if len(folders) == 0 {
		return
	}
	parts := slices.Clone(folders)
	if old := e.get("PATH"); old != "" {
		parts = append(parts, old)
	}
	name := "PATH"
	if spelled, ok := e.names[variableKey(name)]; ok {
		name = spelled
	}
	e.set(name, strings.Join(parts, string(filepath.ListSeparator)))
}

// list returns KEY=value pairs in a fixed order. What the system cannot carry
// (an empty name, a NUL) is left out.
func (e environment) list() []string {
	pairs := make([]string, 0, len(e.values))
	for key, value := range e.values {
		name := e.names[key]
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			continue
		}
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return pairs
}
