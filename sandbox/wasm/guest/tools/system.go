package tools

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"otelrunner/sandbox/wasm/guest/tool"
)

func systemTools() []*tool.Tool {
	text := func(name, usage, short, answer string) *tool.Tool {
		return &tool.Tool{Name: name, Usage: usage, Short: short, Raw: true, Run: func(c *tool.Call) int {
			c.Out.WriteString(answer + "\n")
			return 0
		}}
	}
	return []*tool.Tool{
		{Name: "date", Usage: "[-u] [-d TIME] [-r FILE] [-I[WHAT]] [-R] [+FORMAT]", Short: "write the time", Run: date, Options: []tool.Option{
			{Short: 'u', Long: "utc", Help: "in UTC (always)"}, {Long: "universal", Help: "as -u"}, {Short: 'd', Long: "date", Arg: "TIME", Help: "this time: @SECONDS, a date, now, yesterday, N days ago …"}, {Short: 'r', Long: "reference", Arg: "FILE", Help: "FILE's time"},
			{Short: 'I', Long: "iso-8601", Arg: "[WHAT]", Help: "ISO 8601: date, hours, minutes, seconds or ns"}, {Short: 'R', Long: "rfc-email", Help: "RFC 5322"}, {Long: "rfc-3339", Arg: "WHAT", Help: "RFC 3339: date, seconds or ns"},
		}, Notes: []string{"The time zone is UTC."}},
		{Name: "uname", Usage: "[-asnrmo]", Short: "describe the system", Run: uname, Options: []tool.Option{
			{Short: 'a', Long: "all", Help: "all"}, {Short: 's', Long: "kernel-name", Help: "system"}, {Short: 'n', Long: "nodename", Help: "host"}, {Short: 'r', Long: "kernel-release", Help: "release"}, {Short: 'v', Help: "version"}, {Short: 'm', Long: "machine", Help: "machine"}, {Short: 'p', Help: "as -m"}, {Short: 'o', Long: "operating-system", Help: "system"},
		}},
		{Name: "id", Usage: "[-u] [-g] [-n] [-G]", Short: "who runs this", Run: id, Options: []tool.Option{{Short: 'u', Long: "user", Help: "the user"}, {Short: 'g', Long: "group", Help: "the group"}, {Short: 'G', Long: "groups", Help: "the groups"}, {Short: 'n', Long: "name", Help: "by name"}, {Short: 'r', Help: "accepted"}}},
		text("whoami", "", "the user's name", "root"),
		text("hostname", "", "the host's name", "wasm"),
		text("nproc", "", "the number of processors", "1"),
		text("arch", "", "the machine", "wasm32"),
		{Name: "tty", Usage: "[-s]", Short: "the terminal's name", Raw: true, Run: func(c *tool.Call) int {
			c.Out.WriteString("not a tty\n")
			return 1
		}},
		{Name: "sync", Usage: "", Short: "do nothing, successfully", Raw: true, Run: func(*tool.Call) int { return 0 }},
	}
}

func uname(c *tool.Call) int {
	parts := []string{}
	for _, p := range []struct{ key, text string }{{"s", "WASI"}, {"n", "wasm"}, {"r", "preview1"}, {"v", "otelrunner"}, {"m", "wasm32"}, {"o", "WASI"}} {
		if c.Has(p.key) || c.Has("a") || p.key == "s" && len(c.Opts) == 0 || p.key == "m" && c.Has("p") {
			parts = append(parts, p.text)
		}
	}
	c.Out.WriteString(strings.Join(parts, " ") + "\n")
	return 0
}

func id(c *tool.Call) int {
	if c.Last("u", "g", "G") == "" {
		c.Out.WriteString("uid=0(root) gid=0(root) groups=0(root)\n")
		return 0
	}
	if c.Has("n") {
		c.Out.WriteString("root\n")
	} else {
		c.Out.WriteString("0\n")
	}
	return 0
}

func date(c *tool.Call) int {
	now := time.Now()
	var err error
	if c.Has("d") {
		if now, err = parseDate(c.Value("d"), now); err != nil {
			return c.Fail("%v", err)
		}
	}
	if c.Has("r") {
		info, err := os.Stat(c.Path(c.Value("r")))
		if err != nil {
			return c.Fail("%s: %s", c.Value("r"), tool.Reason(err))
		}
		now = info.ModTime()
	}
	format := "%a %b %e %H:%M:%S %Z %Y"
	iso := map[string]string{"": "%Y-%m-%d", "date": "%Y-%m-%d", "hours": "%Y-%m-%dT%H%:z", "minutes": "%Y-%m-%dT%H:%M%:z", "seconds": "%Y-%m-%dT%H:%M:%S%:z", "s": "%Y-%m-%dT%H:%M:%S%:z", "ns": "%Y-%m-%dT%H:%M:%S,%N%:z"}
	switch c.Last("I", "R", "rfc-3339") {
	case "I":
		var ok bool
		if format, ok = iso[c.Value("I")]; !ok {
			return c.Fail("invalid argument '%s' for '--iso-8601'", c.Value("I"))
		}
	case "R":
		format = "%a, %d %b %Y %H:%M:%S %z"
	case "rfc-3339":
		format = map[string]string{"date": "%Y-%m-%d", "seconds": "%Y-%m-%d %H:%M:%S%:z", "ns": "%Y-%m-%d %H:%M:%S.%N%:z"}[c.Value("rfc-3339")]
	}
	if len(c.Args) > 0 {
		if !strings.HasPrefix(c.Args[0], "+") {
			return c.Fail("invalid date '%s'; the clock cannot be set here", c.Args[0])
		}
		format = c.Args[0][1:]
	}
	c.Out.WriteString(tool.Strftime(now.UTC(), format) + "\n")
	return 0
}

var dateLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05-0700",
	"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02", "20060102", "2006/01/02", "01/02/2006", time.RFC1123Z, time.RFC1123, time.UnixDate, "Mon Jan _2 15:04:05 2006",
	"2 Jan 2006", "Jan 2 2006", "Jan 2, 2006", "02 Jan 2006 15:04:05",
}

// parseDate reads what date -d takes: an absolute time, or words relative to
// now.
func parseDate(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseFloat(strings.TrimPrefix(s, "@"), 64); err == nil && strings.HasPrefix(s, "@") {
		return time.Unix(int64(n), int64((n-float64(int64(n)))*1e9)), nil
	}
	for _, l := range dateLayouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, nil
		}
	}
	// A sign may stand apart from its number.
	s = strings.NewReplacer(" + ", " +", " - ", " -").Replace(s)
	words := strings.Fields(strings.ToLower(s))
	t := now.UTC()
	bad := fmt.Errorf("invalid date '%s'", s)
	// An absolute time may come first.
	for n := len(words); n > 0; n-- {
		for _, l := range dateLayouts {
			if at, err := time.Parse(l, strings.Join(strings.Fields(s)[:n], " ")); err == nil {
				return relative(at, words[n:], true, bad)
			}
		}
	}
	return relative(t, words, false, bad)
}

// weekday reads a day of the week, short or long, in lower case.
func weekday(word string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := strings.ToLower(day.String()); word == name || word == name[:3] {
			return day, true
		}
	}
	return 0, false
}

// onWeekday is midnight of a day of the week as GNU counts: the first one from t's
// day on, for next one after it, for last one before it.
func onWeekday(t time.Time, day time.Weekday, which string) time.Time {
	days := (int(day-t.Weekday()) + 7) % 7
	if which == "last" || which == "next" && days == 0 {
		days += map[string]int{"last": -7, "next": 7}[which]
	}
	return time.Date(t.Year(), t.Month(), t.Day()+days, 0, 0, 0, 0, time.UTC)
}

// relative moves t by words. Where an absolute date stands before them (dated), a
// day of the week says nothing.
func relative(t time.Time, words []string, dated bool, bad error) (time.Time, error) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch w {
		case "now", "today", "utc", "z":
			continue
		case "yesterday":
			t = t.AddDate(0, 0, -1)
			continue
		case "tomorrow":
			t = t.AddDate(0, 0, 1)
			continue
		case "midnight":
			t = t.Truncate(24 * time.Hour)
			continue
		case "next", "last":
			if i+1 == len(words) {
				return t, bad
			}
			if day, ok := weekday(words[i+1]); ok {
				if i++; !dated {
					t = onWeekday(t, day, w)
				}
				continue
			}
			w = map[string]string{"next": "1", "last": "-1"}[w]
		}
		if day, ok := weekday(w); ok {
			if !dated {
				t = onWeekday(t, day, "")
			}
			continue
		}
		n, err := strconv.Atoi(strings.TrimPrefix(w, "+"))
		if err != nil || i+1 >= len(words) {
			return t, bad
		}
		i++
		unit := strings.TrimSuffix(words[i], "s")
		if i+1 < len(words) && words[i+1] == "ago" {
			n = -n
			i++
		}
		switch unit {
		case "sec", "second":
			t = t.Add(time.Duration(n) * time.Second)
		case "min", "minute":
			t = t.Add(time.Duration(n) * time.Minute)
		case "hour":
			t = t.Add(time.Duration(n) * time.Hour)
		case "day":
			t = t.AddDate(0, 0, n)
		case "week":
			t = t.AddDate(0, 0, 7*n)
		case "month":
			t = t.AddDate(0, n, 0)
		case "year":
			t = t.AddDate(n, 0, 0)
		default:
			return t, bad
		}
	}
	return t, nil
}
