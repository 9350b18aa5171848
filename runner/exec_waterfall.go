package runner

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	eastasian "golang.org/x/text/width"
)

// waterfallLayout are the widths of a waterfall's columns, in the terminal's columns.
type waterfallLayout struct{ name, bar, remark int }

// layoutOf makes a waterfall's lines fit into a terminal of that width; 0 is none,
// and lines are as long as they like. Below some 60 columns they do not fit.
func layoutOf(terminal int) waterfallLayout {
	l := waterfallLayout{name: 44, bar: 32, remark: 60}
	const remark, name = 18, 20                                        // the least that says something: "failure: exit code"
	rest := func() int { return terminal - l.bar - waterfallTime - 6 } // what is between the columns, and the bar's ends
	if terminal <= 0 || rest() >= l.name+l.remark {
		return l
	}
	if rest() < l.name+remark {
		l.bar = 16
	}
	l.name = max(name, min(l.name, rest()-remark))
	l.remark = max(remark, min(l.remark, rest()-l.name))
	return l
}

// waterfallTime is the width of a duration.
const waterfallTime = 9

// waterfall shows spans below each other, each with its place in the time of the
// whole run, how long it took, and how it ended: what took so long?
func (s *screen) waterfall(spans []sdktrace.ReadOnlySpan) {
	children := map[trace.SpanID][]sdktrace.ReadOnlySpan{}
	known := map[trace.SpanID]bool{}
	for _, sp := range spans {
		known[sp.SpanContext().SpanID()] = true
	}
	var first, last time.Time
	for _, sp := range spans {
		parent := sp.Parent().SpanID()
		if !known[parent] {
			parent = trace.SpanID{}
		}
		children[parent] = append(children[parent], sp)
		if first.IsZero() || sp.StartTime().Before(first) {
			first = sp.StartTime()
		}
		if sp.EndTime().After(last) {
			last = sp.EndTime()
		}
	}
	layout := layoutOf(s.width)
	var show func(parent trace.SpanID, depth int)
	show = func(parent trace.SpanID, depth int) {
		for _, sp := range children[parent] {
			s.printf("%s\n", s.waterfallLine(sp, depth, first, last, layout))
			show(sp.SpanContext().SpanID(), depth+1)
		}
	}
	s.printf("\n")
	show(trace.SpanID{}, 0)
}

func (s *screen) waterfallLine(sp sdktrace.ReadOnlySpan, depth int, first, last time.Time, l waterfallLayout) string {
	name := fit(strings.Repeat("  ", depth)+oneLine(waterfallTitle(sp)), l.name)
	color, remark := "", ""
	for _, kv := range sp.Attributes() {
		switch kv.Key {
		case semconv.CICDPipelineResultKey, semconv.CICDPipelineTaskRunResultKey:
			remark = kv.Value.AsString()
			color = green
		case semconv.ErrorTypeKey:
			if remark == "" {
				remark = kv.Value.AsString()
			}
		}
	}
	if sp.Status().Code == codes.Error {
		color = red
		if d := oneLine(sp.Status().Description); d != "" {
			remark += ": " + d
			if l.remark < 30 { // what went wrong says that it did
				remark = d
			}
		}
	}
	remark = strings.TrimRight(fit(remark, l.remark), " ")
	took := sp.EndTime().Sub(sp.StartTime())
	return strings.TrimRight(fmt.Sprintf("%s %s %*s  %s", name, s.paint(color, bar(sp.StartTime().Sub(first), took, last.Sub(first), l.bar)), waterfallTime, short(took), s.paint(color, remark)), " ")
}

// waterfallTitle is what a span is called below the run's: a job by its own name.
func waterfallTitle(sp sdktrace.ReadOnlySpan) string {
	for _, kv := range sp.Attributes() {
		if kv.Key == semconv.CICDPipelineNameKey {
			if job, ok := strings.CutPrefix(sp.Name(), "RUN "+kv.Value.AsString()+" / "); ok {
				return job
			}
		}
	}
	return sp.Name()
}

// fit makes a text that many columns wide. What is too long loses its middle: the
// jobs of a matrix differ at their ends.
func fit(text string, width int) string {
	if w := columns(text); w <= width {
		return text + strings.Repeat(" ", width-w)
	}
	r := []rune(text)
	room := (width - 1) / 3
	end := len(r)
	for end > 0 && columns(string(r[end-1:])) <= room {
		end--
	}
	tail := string(r[end:])
	begin := 0
	for begin < end && columns(string(r[:begin+1]))+1+columns(tail) <= width {
		begin++
	}
	text = string(r[:begin]) + "…" + tail
	return text + strings.Repeat(" ", width-columns(text))
}

// columns is how wide a terminal shows a text without control characters: those of
// East Asian scripts and emoji take two columns, marks on other characters none.
func columns(text string) (n int) {
	for _, r := range text {
		switch kind := eastasian.LookupRune(r).Kind(); {
		case kind == eastasian.EastAsianWide || kind == eastasian.EastAsianFullwidth:
			n += 2
		case !unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
			n++
		}
	}
	return n
}

// bar is the place of something in the time of the whole.
func bar(offset, took, whole time.Duration, width int) string {
	if whole <= 0 {
		whole = 1
	}
	at := func(d time.Duration) int {
		return min(width, max(0, int(float64(d)/float64(whole)*float64(width)+0.5)))
	}
	from := min(at(offset), width-1)
	to := max(at(offset+took), from)
	if to == from {
		return "·" + strings.Repeat(" ", from) + "▏" + strings.Repeat(" ", width-from-1) + "·"
	}
	return "·" + strings.Repeat(" ", from) + strings.Repeat("█", to-from) + strings.Repeat(" ", width-to) + "·"
}
