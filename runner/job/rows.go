package job

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"otelrunner/runner/workflow"
)

// rows writes what the runner itself has to say into a job's log.
type rows struct {
	sink  Sink
	debug bool // whether debug rows are shown
	// at is when what is written came; nil is now.
	at *time.Time
}

func (r rows) now() time.Time {
	if r.at != nil {
		return *r.at
	}
	return time.Now()
}

// printf writes a row, or several where the text has several lines.
func (r rows) printf(format string, args ...any) {
	r.write("", fmt.Sprintf(format, args...))
}

func (r rows) errorf(format string, args ...any) {
	r.write(RowError, fmt.Sprintf(format, args...))
}

func (r rows) warnf(format string, args ...any) {
	r.write(RowWarning, fmt.Sprintf(format, args...))
}

func (r rows) debugf(format string, args ...any) {
	if r.debug {
		r.write(RowDebug, fmt.Sprintf(format, args...))
	}
}

// faults tells of a workflow that cannot be run: what is wrong, and then what is
// odd beside it, since that is often what led to it.
func (r rows) faults(err error) {
	text := sentence(err)
	all, ok := errors.AsType[workflow.Errors](err)
	if !ok {
		r.errorf("%s", text)
		return
	}
	var wrong, odd workflow.Errors
	for _, p := range all {
		if p.Warning {
			p.Warning = false // its row says it
			odd = append(odd, p)
		} else {
			wrong = append(wrong, p)
		}
	}
	r.errorf("%s", strings.Replace(text, all.Error(), wrong.Error(), 1))
	for _, p := range odd {
		r.warnf("%s", p)
	}
}

func (r rows) group(format string, args ...any) {
	title, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	r.write(RowGroup, title)
}

func (r rows) endGroup() { r.write(RowEndGroup, "") }

// write gives each line of text its own row. Lines of a plain text are made
// harmless, since a part of the text may come from outside.
func (r rows) write(prefix, text string) {
	now := r.now()
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.TrimSuffix(text, "\n")
	for line := range strings.SplitSeq(text, "\n") {
		if prefix == "" {
			line = harmless([]byte(line))
		}
		r.sink.Row(now, prefix+line)
	}
}

// pagePrefixes are what Gitea's page reads as a command at the beginning of a
// row.
var pagePrefixes = [][]byte{
	[]byte("::group::"), []byte("::endgroup::"), []byte("::error"), []byte("::warning"),
	[]byte("::notice"), []byte("::debug"), []byte("::add-matcher"), []byte("::remove-matcher"),
	[]byte(RowGroup), []byte(RowEndGroup), []byte(RowError), []byte(RowWarning), []byte(RowNotice),
	[]byte(RowDebug), []byte("##[add-matcher]"), []byte("##[remove-matcher]"),
}

// harmless returns a row that a program printed and that is no command of it as
// text: where the page would take it for one, a space stands before it.
func harmless(line []byte) string {
	if len(line) > 2 && (line[0] == ':' && line[1] == ':' || line[0] == '#' && line[1] == '#') {
		for _, p := range pagePrefixes {
			if bytes.HasPrefix(line, p) {
				return " " + string(line)
			}
		}
	}
	return string(line)
}
