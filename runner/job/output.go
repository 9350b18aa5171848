package job

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// output takes what a program prints: it assembles lines, obeys workflow
// commands, and writes the rest into the log as it comes. It is an io.Writer for
// both streams of one program, used by one goroutine at a time.
type output struct {
	rows      rows
	lines     lineWriter
	matchers  *matchers
	readFile  func(path string) ([]byte, error) // for problem matchers
	unsecure  bool                              // set-env and add-path are obeyed
	echo      bool
	stopToken string // commands are not obeyed until it comes
	warned    map[string]bool

	now      time.Time // when the piece came that is being looked at
	effects  effects
	panicked any
}

// newOutput returns an output for one program of a step.
func newOutput(r rows, m *matchers, readFile func(string) ([]byte, error), unsecure bool) *output {
	m.reset()
	o := &output{matchers: m, readFile: readFile, unsecure: unsecure, echo: r.debug}
	r.at = &o.now
	o.rows, o.lines.emit = r, o.line
	if c, ok := r.sink.(Cutter); ok {
		o.lines.cut = c.Cut
	}
	return o
}

// Write never fails. It runs on a goroutine of the sandbox, which must survive
// a fault of ours: close tells of it.
func (o *output) Write(p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			o.panicked = v
			n, err = len(p), nil
		}
	}()
	if o.panicked != nil {
		return len(p), nil
	}
	o.now = time.Now()
	return o.lines.Write(p)
}

// close writes the last line, and panics again with what Write has caught.
func (o *output) close() {
	if o.panicked == nil {
		o.now = time.Now()
		o.lines.Close()
	}
	if o.panicked != nil {
		panic(o.panicked)
	}
}

func (o *output) line(line []byte, rest bool) {
	if !rest && maybeCommand(line) {
		if c, ok := parseCommand(line); ok && o.obey(c, line) {
			return
		}
	}
	if p, ok := o.matchers.match(line); ok && p.annotates() {
		o.rows.sink.Row(o.now, p.row(string(stripColours(line))))
		return
	}
	o.rows.sink.Row(o.now, harmless(line))
	o.tellSlow()
}

// tellSlow warns of problem matchers that were given up.
func (o *output) tellSlow() {
	for _, owner := range o.matchers.tooSlow {
		o.rows.warnf("The problem matcher %q looked at the line above for longer than %v and is not used any more.", owner, patternTime)
	}
	o.matchers.tooSlow = nil
}

// obey does what a command says and reports whether there is one of its name
// that may be obeyed now.
func (o *output) obey(c command, line []byte) bool {
	if o.stopToken != "" {
		if !strings.EqualFold(c.name, o.stopToken) {
			return false
		}
		o.stopToken = ""
		o.rows.sink.Row(o.now, harmless(line))
		return true
	}
	do := commandFunc(c.name)
	if do == nil {
		return false
	}
	if o.echo && !silent[c.name] {
		o.rows.sink.Row(o.now, harmless(line))
	}
	if err := do(o, &c); err != nil {
		// Not the line: it may hold what should have been masked.
		o.rows.errorf("The command %s was not obeyed: %v", c.name, err)
		o.effects.failed = true
	}
	return true
}

// commandFunc returns what obeys the command of that name, or nil (docs:
// "Workflow commands").
func commandFunc(name string) func(*output, *command) error {
	switch name {
	case "add-mask":
		return (*output).addMask
	case "add-matcher":
		return (*output).addMatcher
	case "add-path":
		return (*output).addPath
	case "debug":
		return (*output).debug
	case "echo":
		return (*output).setEcho
	case "endgroup":
		return (*output).endGroup
	case "error", "warning", "notice":
		return (*output).annotate
	case "group":
		return (*output).group
	case "remove-matcher":
		return (*output).removeMatcher
	case "save-state":
		return (*output).saveState
	case "set-env":
		return (*output).setEnv
	case "set-output":
		return (*output).setOutput
	case "stop-commands":
		return (*output).stopCommands
	}
	return nil
}

// silent are those that show themselves, or must not be shown.
var silent = map[string]bool{
	"add-mask": true, "debug": true, "echo": true, "endgroup": true, "error": true,
	"group": true, "notice": true, "stop-commands": true, "warning": true,
}

func (o *output) addMask(c *command) error {
	if strings.TrimSpace(c.data) == "" {
		o.rows.warnf("add-mask was given an empty value, which hides nothing.")
		return nil
	}
	o.rows.sink.AddMask(c.data)
	return nil
}

// annotate writes an annotation. The page drops its properties, so the place is
// put into the message.
func (o *output) annotate(c *command) error {
	text := c.data
	if title := c.arg("title"); title != "" {
		text = title + ": " + text
	}
	if at := place(c.arg("file"), c.arg("line"), c.arg("col")); at != "" {
		text = at + ": " + text
	}
	o.rows.write(severityPrefix(c.name), text)
	return nil
}

func (o *output) debug(c *command) error {
	o.rows.debugf("%s", c.data)
	return nil
}

func (o *output) group(c *command) error {
	o.rows.group("%s", c.data)
	return nil
}

func (o *output) endGroup(*command) error {
	o.rows.endGroup()
	return nil
}

func (o *output) setEcho(c *command) error {
	switch strings.ToLower(strings.TrimSpace(c.data)) {
	case "on":
		o.echo = true
	case "off":
		o.echo = false
	default:
		return fmt.Errorf("expected on or off, found %s", excerpt(c.data))
	}
	return nil
}

// stopCommands takes the token that resumes. One that could come by chance, or
// that is a command itself, is refused as on GitHub: output that is not the
// step's own could resume with it.
func (o *output) stopCommands(c *command) error {
	token := c.data
	if commandFunc(strings.ToLower(token)) != nil || token == "" || strings.EqualFold(token, "pause-logging") ||
		strings.ContainsAny(token, " :]\t") {
		return fmt.Errorf("the token must be a word that is no command, best a random one, found %s", excerpt(token))
	}
	o.stopToken = token
	o.rows.sink.Row(o.now, "::stop-commands::"+token)
	return nil
}

func (o *output) setOutput(c *command) error {
	o.warnOnce(c.name, "$GITHUB_OUTPUT")
	name := c.arg("name")
	if name == "" {
		return errNoName
	}
	o.effects.outputs = append(o.effects.outputs, pair{name, c.data})
	return nil
}

func (o *output) saveState(c *command) error {
	o.warnOnce(c.name, "$GITHUB_STATE")
	name := c.arg("name")
	if name == "" {
		return errNoName
	}
	o.effects.state = append(o.effects.state, pair{name, c.data})
	return nil
}

var errNoName = errors.New("it needs a name, as in name=NAME::VALUE")

func (o *output) setEnv(c *command) error {
	if !o.unsecure {
		return errUnsecure("$GITHUB_ENV")
	}
	name := c.arg("name")
	if name == "" {
		return errNoName
	}
	o.effects.env = append(o.effects.env, pair{name, c.data})
	return nil
}

func (o *output) addPath(c *command) error {
	if !o.unsecure {
		return errUnsecure("$GITHUB_PATH")
	}
	if c.data == "" {
		return errors.New("it needs a folder")
	}
	o.effects.path = append(o.effects.path, c.data)
	return nil
}

// errUnsecure: whatever a step prints could set its environment, so that these
// commands are off unless the workflow wants them, as on GitHub.
func errUnsecure(file string) error {
	return fmt.Errorf("it is switched off because untrusted output could use it; write to the file %s instead, "+
		"or set ACTIONS_ALLOW_UNSECURE_COMMANDS to true in the step's env", file)
}

func (o *output) warnOnce(command, instead string) {
	if o.warned[command] {
		return
	}
	if o.warned == nil {
		o.warned = map[string]bool{}
	}
	o.warned[command] = true
	o.rows.warnf("The command %s is deprecated; write to the file %s instead.", command, instead)
}

func (o *output) addMatcher(c *command) error {
	if c.data == "" {
		return errors.New("it needs the path of a matcher file")
	}
	data, err := o.readFile(c.data)
	if err == nil {
		err = o.matchers.add(data)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.data, err)
	}
	return nil
}

func (o *output) removeMatcher(c *command) error {
	owner := c.arg("owner")
	if owner == "" {
		owner = c.data
	}
	if !o.matchers.remove(owner) {
		o.rows.debugf("There is no problem matcher of owner %q.", owner)
	}
	return nil
}
