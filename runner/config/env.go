package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// ConfigEnv names the variable that gives the configuration file where no flag
// does. It is no key, and so not a problem in environment.
const ConfigEnv = EnvPrefix + "CONFIG"

// environment reads the variables that override keys. One that no key has is
// warned about and not refused: container platforms make up variables from the
// names of services.
func (l *loader) environment(environ []string) {
	var names []string
	byName := map[string]*key{}
	for i := range l.table {
		k := &l.table[i]
		byName[k.env()] = k
		names = append(names, k.env())
	}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == ConfigEnv {
			continue
		}
		k := byName[name]
		if k == nil {
			l.warn("environment variable %s belongs to no key of the configuration%s", name, didYouMean(name, names))
			continue
		}
		l.text(k, value, name)
	}
}

// override sets what a flag says.
func (l *loader) override(o Override) {
	k := l.find(o.Key)
	if k == nil {
		panic("config: there is no key " + o.Key + " to override")
	}
	l.text(k, o.Value, o.From)
}

func (l *loader) text(k *key, value, from string) {
	if err := k.setText(&l.out.Config, value); err != nil {
		l.problem(from, k.path, "%v", err)
		return
	}
	l.out.from[k.path] = origin{file: from}
}

// envFile adds the variables of runner.env_file to runner.envs.
func (l *loader) envFile() {
	const path = "runner.env_file"
	r := &l.out.Runner
	if r.EnvFile == "" {
		return
	}
	data, err := os.ReadFile(r.EnvFile)
	if errors.Is(err, fs.ErrNotExist) {
		if from, set := l.out.from[path]; set && from.line == 0 {
			l.warn("%s: %s does not exist", l.name(path), r.EnvFile)
		}
		return
	}
	if err != nil {
		l.problem(r.EnvFile, path, "%v", err)
		return
	}
	vars, line, err := parseEnvFile(string(data))
	if err != nil {
		l.problem(origin{r.EnvFile, line}.String(), path, "%v", err)
		return
	}
	merged := maps.Clone(r.Envs)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, vars)
	r.Envs = merged
}

// parseEnvFile reads NAME=value lines. Empty lines and those that begin with #
// are skipped; "export " may stand before a name; a value may be in single
// quotes (taken as it is) or double quotes (\n, \" and \\ are replaced), else it
// ends before " #". The line number is that of the error.
func parseEnvFile(text string) (vars map[string]string, line int, err error) {
	vars = map[string]string{}
	for raw := range strings.SplitSeq(text, "\n") {
		line++
		s := strings.TrimSpace(raw)
		if s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(s, "export "), "=")
		if !ok {
			return nil, line, errors.New("expected NAME=value, found no =")
		}
		name = strings.TrimSpace(name)
		if err := variableName(name); err != nil {
			return nil, line, err
		}
		if vars[name], err = envValue(strings.TrimSpace(value)); err != nil {
			return nil, line, fmt.Errorf("%s: %w", name, err)
		}
	}
	return vars, line, nil
}

var escapes = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\"`, `"`, `\\`, `\`, `\$`, `$`)

func envValue(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	switch quote := s[0]; quote {
	case '\'', '"':
		end := closing(s, quote)
		if end < 0 {
			return "", fmt.Errorf("the quote %c is not closed on its line", quote)
		}
		if rest := strings.TrimSpace(s[end+1:]); rest != "" && !strings.HasPrefix(rest, "#") {
			return "", errors.New("text follows the closing quote")
		}
		if quote == '\'' {
			return s[1:end], nil
		}
		return escapes.Replace(s[1:end]), nil
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	return s, nil
}

// closing is the index of the quote that ends s, or -1.
func closing(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return i
		case s[i] == '\\' && quote == '"':
			i++
		}
	}
	return -1
}
