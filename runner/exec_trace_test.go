package runner

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"otelrunner/runner/label"
	"otelrunner/runner/task"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// TestExecTrace runs two jobs and looks at what is shown and written of them.
func TestExecTrace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "w.yml")
	writeFile(t, file, `
on: push
jobs:
  one:
    runs-on: h
    steps:
      - name: says ${{ secrets.TOKEN }}
        run: echo "parent=$TRACEPARENT"
      - name: fails
        run: exit 3
        continue-on-error: true
  two:
    needs: one
    runs-on: h
    steps: [{run: "false"}]
`, 0o644)
	labels, err := label.ParseList([]string{"h:host"})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"} {
		t.Setenv(v, "")
	}
	var out bytes.Buffer
	spans := filepath.Join(dir, "trace.json")
	result, err := Exec(t.Context(), ExecOptions{
		Config: suiteConfig(t, t.TempDir()), Environ: os.Environ(), Log: slog.NewTextHandler(t.Output(), nil),
		File: file, Dir: dir, Exact: true, Labels: labels, Out: &out, Secrets: map[string]string{"TOKEN": "hidden-value"},
		Trace: true, TraceOut: spans,
	})
	if err != nil || result != task.Failure {
		t.Fatalf("%v, %v", result, err)
	}
	if strings.Contains(out.String(), "hidden-value") {
		t.Error("the secret is shown")
	}
	_, shown, _ := strings.Cut(out.String(), "\n\nRUN w.yml ")
	var lines []string
	for line := range strings.Lines(shown) {
		name, rest, _ := strings.Cut(line, "·")
		_, end, _ := strings.Cut(rest, "·")
		lines = append(lines, strings.TrimRight(name, " ")+" |"+strings.Join(strings.Fields(end)[2:], " "))
	}
	want := []string{
		" |failure: a job failed", // of the cut line
		"  one |success",
		"    set up job |",
		"      open sandbox |",
		"        make host workspace |",
		"    says *** |success",
		"    fails |failure: exit code 3",
		"    clean up |",
		"  two |failure: exit code 1",
		"    set up job |",
		"      open sandbox |",
		"        make host workspace |",
		"    Run false |failure: exit code 1",
		"    clean up |",
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the waterfall is\n%s\nwant\n%s\nin\n%s", got, strings.Join(want, "\n"), out.String())
	}
	data, err := os.ReadFile(spans)
	if err != nil || !json.Valid(data) || bytes.Contains(data, []byte("hidden-value")) {
		t.Errorf("the file of the trace: %v, %s", err, data)
	}
	_, parent, _ := strings.Cut(out.String(), "parent=00-")
	if id, _, _ := strings.Cut(parent, "-"); len(id) != 32 || !bytes.Contains(data, []byte(`"traceId": "`+id+`"`)) {
		t.Errorf("the step was told of the trace %q, which is not in the file", id)
	}
}

// written are the texts that were written by whoever.
type written chan string

func (w written) Write(text []byte) (int, error) { w <- string(text); return len(text), nil }

// TestTraceWithoutACollector: what took so long is told before a collector that is
// away is waited for, and that there is nothing to tell is told as well.
func TestTraceWithoutACollector(t *testing.T) {
	for _, c := range []struct{ name, variable, value, want string }{
		{"away", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "^RUN w.yml .*success$.*telemetry could not be exported"},
		{"off", "OTEL_SDK_DISABLED", "true", "^No spans: OTEL_SDK_DISABLED turns telemetry off.$"},
		{"not sampled", "OTEL_TRACES_SAMPLER", "always_off", "^No spans: OTEL_TRACES_SAMPLER leaves this run out.$"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"} {
				t.Setenv(v, "")
			}
			t.Setenv(c.variable, c.value)
			dir := t.TempDir()
			file := filepath.Join(dir, "w.yml")
			writeFile(t, file, "on: push\njobs: {a: {runs-on: h, steps: [{run: 'true'}]}}\n", 0o644)
			labels, err := label.ParseList([]string{"h:host"})
			if err != nil {
				t.Fatal(err)
			}
			out := make(written, 1000)
			result, err := Exec(t.Context(), ExecOptions{
				Config: suiteConfig(t, t.TempDir()), Environ: os.Environ(), Log: slog.NewTextHandler(out, nil),
				File: file, Dir: dir, Exact: true, Labels: labels, Out: out, Trace: true,
			})
			if err != nil || result != task.Success {
				t.Fatalf("%v, %v", result, err)
			}
			close(out)
			var all strings.Builder
			for text := range out {
				all.WriteString(text)
			}
			if !regexp.MustCompile("(?ms)" + c.want).MatchString(all.String()) {
				t.Errorf("want %s in\n%s", c.want, all.String())
			}
		})
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		offset, took, whole time.Duration
		want                string
	}{
		{0, 0, 0, "▏" + strings.Repeat(" ", 31)},
		{0, time.Second, time.Second, strings.Repeat("█", 32)},
		{time.Second / 2, time.Second / 2, time.Second, strings.Repeat(" ", 16) + strings.Repeat("█", 16)},
		{time.Second, 0, time.Second, strings.Repeat(" ", 31) + "█"},
		{2 * time.Second, time.Hour, time.Second, strings.Repeat(" ", 31) + "█"},
	} {
		if got := strings.Trim(bar(c.offset, c.took, c.whole, 32), "·"); got != c.want {
			t.Errorf("bar(%v, %v, %v) = %q, want %q", c.offset, c.took, c.whole, got, c.want)
		}
	}
}

// TestWaterfallFits: lines are no longer than the terminal, and what tells jobs of a
// matrix from each other is in them.
func TestWaterfallFits(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer("")
	ctx, root := tracer.Start(t.Context(), "RUN w.yml")
	for _, version := range []string{"1", "2"} {
		_, job := tracer.Start(ctx, "RUN o/r/w.yml / a job whose name is a very long one indeed, longer than any column (os, "+version+")",
			trace.WithAttributes(semconv.CICDPipelineName("o/r/w.yml"), semconv.CICDPipelineResultFailure))
		job.SetStatus(codes.Error, strings.Repeat("a long story, ", 20))
		job.End()
	}
	root.End()
	for _, width := range []int{0, 60, 80, 100, 120, 200} {
		var out bytes.Buffer
		newScreen(&out, false, false, width).waterfall(rec.Ended())
		longest, shown := 0, out.String()
		for line := range strings.Lines(shown) {
			longest = max(longest, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
		}
		if width >= 80 && longest > width || longest > 153 {
			t.Errorf("at %d columns a line has %d characters:\n%s", width, longest, shown)
		}
		if !strings.Contains(shown, "1) ") || !strings.Contains(shown, "2) ") || !strings.Contains(shown, "\n  a job") || strings.Count(shown, "  a long story")+strings.Count(shown, "failure: a long story") != 2 {
			t.Errorf("at %d columns the jobs cannot be told from each other, or not their ends:\n%s", width, shown)
		}
	}
}

// TestFit: texts are as wide as they are shown, not as many characters.
func TestFit(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"abc", 5, "abc  "},
		{"abcdefghij", 7, "abcd…ij"},
		{"编译", 6, "编译  "},
		{"编译编译编译", 7, "编译…译"},
		{"编译编译编译", 8, "编译…译 "},
		{"e\u0301🚀", 4, "e\u0301🚀 "},
	} {
		if got := fit(c.text, c.width); got != c.want || columns(got) != c.width {
			t.Errorf("%q in %d columns is %q, want %q", c.text, c.width, got, c.want)
		}
	}
	if got := oneLine("a\nb\x1b[2J\tc\r"); got != "a b [2J c " {
		t.Errorf("a name that moves the cursor is %q", got)
	}
}
