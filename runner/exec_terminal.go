package runner

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"otelrunner/runner/job"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
	"otelrunner/sandbox/wasm"
)

// screen writes the log of jobs for a person. It is safe for concurrent use.
type screen struct {
	out     *lockedWriter
	prefix  string // of each line
	color   bool
	verbose bool // what the engine says of each step is shown, too
	width   int  // of the terminal, in characters; 0 is not known
}

// lockedWriter takes one text at a time.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func newScreen(w io.Writer, color, verbose bool, width int) *screen {
	return &screen{out: &lockedWriter{w: w}, color: color, verbose: verbose, width: width}
}

// pane is the screen for one of several jobs that run at the same time.
func (s *screen) pane(name string) *screen {
	clone := *s
	clone.prefix = s.paint(dim, oneLine(name)+" |") + " "
	return &clone
}

// The colours, as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (s *screen) paint(color, text string) string {
	if !s.color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (s *screen) printf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.prefix != "" {
		text = s.prefix + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+s.prefix) + "\n"
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	_, _ = io.WriteString(s.out.w, text) // a terminal that is gone cannot be told
}

// marks are how results begin a line.
var marks = map[task.Result]struct{ sign, color string }{
	task.Success:   {"✓", green},
	task.Failure:   {"✗", red},
	task.Cancelled: {"■", yellow},
	task.Skipped:   {"-", dim},
}

func (s *screen) job(name string) { s.printf("%s\n", s.paint(bold, "▶ "+oneLine(name))) }

func (s *screen) jobEnd(name string, r task.Result, took time.Duration) {
	s.printf("%s\n\n", s.paint(marks[r].color, fmt.Sprintf("%s %s: %s (%s)", marks[r].sign, oneLine(name), r, short(took))))
}

// skipped tells of a job that does not run.
func (s *screen) skipped(name, why string) {
	s.printf("%s\n\n", s.paint(dim, fmt.Sprintf("%s %s: skipped: %s", marks[task.Skipped].sign, oneLine(name), why)))
}

// rowStyles are how rows with a meaning are shown.
var rowStyles = []struct{ prefix, mark, color string }{
	{job.RowError, "error: ", red},
	{job.RowWarning, "warning: ", yellow},
	{job.RowNotice, "notice: ", cyan},
	{job.RowDebug, "debug: ", dim},
	{job.RowGroup, "▾ ", bold},
}

// sgr are the sequences that set colours. The engine colours scripts with them.
var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// line writes one row.
func (s *screen) line(row string) {
	if !s.color {
		row = sgr.ReplaceAllString(row, "")
	}
	if strings.HasPrefix(row, job.RowEndGroup) {
		return
	}
	for _, style := range rowStyles {
		if text, ok := strings.CutPrefix(row, style.prefix); ok {
			s.printf("  %s %s\n", s.paint(dim, "│"), s.paint(style.color, style.mark+text))
			return
		}
	}
	s.printf("  %s %s\n", s.paint(dim, "│"), row)
}

// summary lists the results of several jobs.
func (s *screen) summary(totals []jobTotal) {
	width := 0
	for _, t := range totals {
		width = max(width, columns(oneLine(t.name)))
	}
	for _, t := range totals {
		name := oneLine(t.name)
		pad := strings.Repeat(" ", width-columns(name))
		remark := t.why
		if remark == "" {
			remark = short(t.took)
		}
		s.printf("%s %s%s  %-9s  %s\n", s.paint(marks[t.result].color, marks[t.result].sign), name, pad, t.result, remark)
	}
}

// oneLine is the name of a job in one line: a value in it may have more, and what
// moves the cursor.
func oneLine(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, name)
}

// short is a duration for people.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// terminal shows one job on a screen. It is a job.Sink.
type terminal struct {
	screen *screen
	masker *report.Masker
	titles []string
	began  map[int]time.Time

	mu      sync.Mutex
	outputs map[string]string
	fold    fold
	after   fold // what follows folded
}

// fold says what of a group is shown.
type fold int

const (
	open   fold = iota // everything
	fresh              // as open, but a group that comes next is the engine's
	setup              // as open, but all groups are the engine's
	folded             // faults only, until the group ends
)

var (
	_ job.Sink   = (*terminal)(nil)
	_ job.Cutter = (*execSink)(nil)
)

func newTerminal(s *screen, titles, secrets []string, outputs map[string]string) *terminal {
	return &terminal{screen: s, masker: report.NewMasker(secrets...), titles: titles, outputs: outputs, began: map[int]time.Time{}, fold: setup}
}

func (t *terminal) Row(_ time.Time, line string) {
	for part := range strings.SplitSeq(t.masker.Mask(line), "\n") {
		if t.shown(part) {
			t.screen.line(part)
		}
	}
}

// unfolded begin the rows of a folded group that are shown all the same.
var unfolded = [...]string{job.RowError, job.RowWarning, copied, wasm.Compiling, wasm.Denied}

// shown reports whether a row is: the group with which the engine begins a step
// or a job (its script, its shell, its environment) is folded away, as the page
// of a server shows it.
func (t *terminal) shown(row string) bool {
	if t.screen.verbose {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.fold == folded && strings.HasPrefix(row, job.RowEndGroup):
		t.fold = t.after
		return false
	case t.fold == folded:
		return slices.ContainsFunc(unfolded[:], func(p string) bool { return strings.HasPrefix(row, p) })
	case row == job.RowGroup+job.SandboxGroup:
		t.fold, t.after = folded, t.fold
		return false
	case t.fold != open && strings.HasPrefix(row, job.RowGroup):
		t.fold, t.after = folded, t.fold
		if t.after == fresh {
			t.after = open
		}
		return false
	case t.fold == fresh:
		t.fold = open
	}
	return true
}

func (t *terminal) unfold(f fold) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fold = f
}

func (t *terminal) title(i int) string {
	if i < 0 || i >= len(t.titles) {
		return fmt.Sprintf("step %d", i+1)
	}
	return t.masker.Mask(t.titles[i])
}

func (t *terminal) StepStarted(i int, at time.Time) {
	t.began[i] = at
	t.unfold(fresh)
	t.screen.printf("  %s %s\n", t.screen.paint(cyan, "●"), t.screen.paint(bold, t.title(i)))
}

func (t *terminal) StepFinished(i int, r task.Result, at time.Time) {
	t.unfold(open)
	began, ran := t.began[i]
	text := fmt.Sprintf("%s %s", marks[r].sign, t.title(i))
	if ran {
		text += " (" + short(at.Sub(began)) + ")"
	} else {
		text += " (" + r.String() + ")"
	}
	t.screen.printf("  %s\n", t.screen.paint(marks[r].color, text))
}

// Cut says where a very long line may be cut so that no secret lies across.
func (t *terminal) Cut(line []byte) int { return t.masker.Cut(string(line)) }

func (t *terminal) AddMask(value string) { t.masker.Add(value) }

// SetOutput keeps an output for the jobs that need this one. One that contains a
// secret is dropped, as a server's runner does.
func (t *terminal) SetOutput(key, value string) {
	if t.masker.Contains(value) {
		t.screen.line(job.RowWarning + "The output " + key + " contains a secret and is not set.")
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outputs[key] = value
}

// SetSummary shows nothing: a summary is for a page.
func (t *terminal) SetSummary(int, []byte) {}

// execSink is a terminal that tells somebody else, too.
type execSink struct {
	*terminal
	watch watch // nil: nobody
}

func (s *execSink) Row(t time.Time, line string) {
	s.terminal.Row(t, line)
	if s.watch != nil {
		s.watch.Row(t, line)
	}
}

func (s *execSink) StepStarted(i int, at time.Time) {
	s.terminal.StepStarted(i, at)
	if s.watch != nil {
		s.watch.StepStarted(i, at)
	}
}

func (s *execSink) StepFinished(i int, r task.Result, at time.Time) {
	s.terminal.StepFinished(i, r, at)
	if s.watch != nil {
		s.watch.StepFinished(i, r, at)
	}
}

func (s *execSink) AddMask(value string) {
	s.terminal.AddMask(value)
	if s.watch != nil {
		s.watch.AddMask(value)
	}
}

func (s *execSink) SetOutput(key, value string) {
	s.terminal.SetOutput(key, value)
	if s.watch != nil && !s.masker.Contains(value) {
		s.watch.SetOutput(key, value)
	}
}

func (s *execSink) SetSummary(i int, markdown []byte) {
	s.terminal.SetSummary(i, markdown)
	if s.watch != nil {
		s.watch.SetSummary(i, markdown)
	}
}
