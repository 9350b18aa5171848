package gitea

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
)

// registrationWarning opens a registration file that this program writes.
const registrationWarning = "Written by `runner register`. It holds the credentials of this runner: keep it private. " +
	"Without it the runner has to be registered anew."

// Registration is what a server gave a runner at Register, and what is kept of
// it in the registration file. The file's format is that of act_runner's
// `.runner`, so either program can use the other's.
type Registration struct {
	ID        int64
	UUID      string
	Name      string
	Token     string // the runner's own, not the one it was registered with
	Address   string // the instance
	Labels    []string
	Ephemeral bool

	warning string
	extra   map[string]json.RawMessage // fields that this program does not know
}

// registrationFile is the file's form; the order of the fields is kept.
type registrationFile struct {
	Warning   string   `json:"WARNING"`
	ID        int64    `json:"id"`
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	Token     string   `json:"token"`
	Address   string   `json:"address"`
	Labels    []string `json:"labels"`
	Ephemeral bool     `json:"ephemeral"`
}

// LoadRegistration reads a registration file. An error says which file, what is
// wrong with it and what to do; errors.Is(err, fs.ErrNotExist) holds for one that
// is missing. The warnings are for the runner's log: they do not keep it from
// working.
func LoadRegistration(path string) (r *Registration, warnings []string, err error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("this runner is not registered (no file %s): run `runner register` first: %w", path, fs.ErrNotExist)
	case err != nil:
		return nil, nil, fmt.Errorf("read the registration file: %w", err)
	}
	r, err = parseRegistration(data)
	if err != nil {
		return nil, nil, fmt.Errorf("registration file %s: %w; mend it, or remove it and run `runner register`", path, err)
	}
	if w := modeWarning(path); w != "" {
		warnings = append(warnings, w)
	}
	return r, warnings, nil
}

func modeWarning(path string) string {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return ""
	}
	return fmt.Sprintf("registration file %s can be read by others (mode %04o) and holds the runner's token: chmod 600 it",
		path, info.Mode().Perm())
}

func parseRegistration(data []byte) (*Registration, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("it is empty")
	}
	var f registrationFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, positioned(data, err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, positioned(data, err)
	}
	var missing []string
	for _, field := range []struct{ name, value string }{{"uuid", f.UUID}, {"token", f.Token}, {"address", f.Address}} {
		if field.value == "" {
			missing = append(missing, field.name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("it lacks %s", strings.Join(missing, ", "))
	}
	if _, err := ParseInstance(f.Address); err != nil {
		return nil, fmt.Errorf("its address is unusable: %w", err)
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool {
		return slices.ContainsFunc(registrationFields, func(known string) bool { return strings.EqualFold(known, name) })
	})
	return &Registration{
		ID: f.ID, UUID: f.UUID, Name: f.Name, Token: f.Token, Address: f.Address, Labels: f.Labels, Ephemeral: f.Ephemeral,
		warning: f.Warning, extra: all,
	}, nil
}

var registrationFields = []string{"WARNING", "id", "uuid", "name", "token", "address", "labels", "ephemeral"}

// positioned adds the line and column to an error of encoding/json.
func positioned(data []byte, err error) error {
	var (
		syntax *json.SyntaxError
		typ    *json.UnmarshalTypeError
		offset int64
		what   string
	)
	switch {
	case errors.As(err, &syntax):
		offset, what = syntax.Offset, "it is not JSON: "+syntax.Error()
	case errors.As(err, &typ) && typ.Field == "":
		offset, what = typ.Offset, "it must hold an object, not "+typ.Value
	case errors.As(err, &typ):
		offset, what = typ.Offset, fmt.Sprintf("%s must be %s, not %s", typ.Field, jsonKind(typ.Type.Kind().String()), typ.Value)
	default:
		return err
	}
	before := data[:min(max(offset, 0), int64(len(data)))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Errorf("line %d, column %d: %s", line, max(column, 1), what)
}

func jsonKind(kind string) string {
	switch kind {
	case "int64":
		return "a number"
	case "slice":
		return "a list"
	case "bool":
		return "true or false"
	}
	return "a string"
}

// Save writes the registration file for its owner only (mode 0600), at once or
// not at all: a crash leaves the old one. Fields that a loaded file had and this
// program does not know are kept.
func (r *Registration) Save(path string) error {
	data, err := r.encode()
	if err == nil {
		err = writeFileAtomically(path, data)
	}
	if err != nil {
		return fmt.Errorf("write the registration file: %w", err)
	}
	return nil
}

func (r *Registration) encode() ([]byte, error) {
	f := registrationFile{
		Warning: r.warning, ID: r.ID, UUID: r.UUID, Name: r.Name, Token: r.Token,
		Address: r.Address, Labels: r.Labels, Ephemeral: r.Ephemeral,
	}
	if f.Warning == "" {
		f.Warning = registrationWarning
	}
	if f.Labels == nil {
		f.Labels = []string{}
	}
	object, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(r.extra)) {
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		object = slices.Concat(object[:len(object)-1], []byte(","), key, []byte(":"), r.extra[name], []byte("}"))
	}
	var out bytes.Buffer
	if err := json.Indent(&out, object, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
