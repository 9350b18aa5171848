package staging_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"otelrunner/sandbox/staging"
)

func link(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

func TestWalk(t *testing.T) {
	got, err := staging.Walk(t.Context(), fstest.MapFS{
		"b/run":    {Data: []byte("run"), Mode: 0o700},
		"b/data":   {Data: []byte("1234"), Mode: 0o400},
		"a":        link("b/run"),
		"b/up":     link("../b/./data"),
		"dangling": link("nowhere/at/all"),
		"circle":   link("circle"),
	})
	want := []staging.Entry{
		{Path: "a", Mode: fs.ModeSymlink | 0o777, Target: "b/run"},
		{Path: "b", Mode: fs.ModeDir | 0o755},
		{Path: "b/data", Mode: 0o644, Size: 4},
		{Path: "b/run", Mode: 0o755, Size: 3},
		{Path: "b/up", Mode: fs.ModeSymlink | 0o777, Target: "../b/./data"},
		{Path: "circle", Mode: fs.ModeSymlink | 0o777, Target: "circle"},
		{Path: "dangling", Mode: fs.ModeSymlink | 0o777, Target: "nowhere/at/all"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestWalkRefuses(t *testing.T) {
	for name, tree := range map[string]fstest.MapFS{
		"an absolute link":           {"l": link("/etc/passwd")},
		"a link upwards":             {"l": link("../x")},
		"a link through a folder":    {"d/f": {}, "l": link("d/../../x")},
		"a link by way of another":   {"here": link("."), "l": link("here/../x")},
		"a link that climbs a chain": {"d/e/f": {}, "d/top": link("../."), "l": link("d/top/../d")},
		"a device":                   {"d": {Mode: fs.ModeDevice | 0o600}},
		"a named pipe":               {"p": {Mode: fs.ModeNamedPipe | 0o600}},
	} {
		entries, err := staging.Walk(t.Context(), tree)
		if err == nil {
			t.Errorf("%s is accepted: %+v", name, entries)
		}
	}
}

func TestWalkEndsWithItsContext(t *testing.T) {
	cause := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := staging.Walk(ctx, fstest.MapFS{"a": {}}); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
}

func TestErrorsNameTheLink(t *testing.T) {
	_, err := staging.Walk(t.Context(), fstest.MapFS{"deep/down/l": link("../../../x")})
	if err == nil || !strings.Contains(err.Error(), "deep/down/l") {
		t.Errorf("error %v does not name the link", err)
	}
}
