package first

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	etc := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "root:x:0:0:root:/root:/bin/sh\n# comment\nshort:x:1\nnode:x:1000:1001:Node:/home/node:/bin/sh\n"+
		"4242:x:77:78::/home/number:/bin/sh\nbad:x:many:1::/home/bad:\nhomeless:x:5:6:::\nlast:x:9:9::/home/last")
	write("group", "root:x:0:\nnode:x:1001:\nwheel:x:10:node,other\ndocker:x:998:other,node\nodd:x:y:node\n")
	for user, want := range map[string]account{
		"root":       {uid: 0, gid: 0, home: "/root"},
		"node":       {uid: 1000, gid: 1001, groups: []uint32{10, 998}, home: "/home/node"},
		"1000":       {uid: 1000, gid: 1001, groups: []uint32{10, 998}, home: "/home/node"},
		"node:wheel": {uid: 1000, gid: 10, home: "/home/node"},
		"node:55":    {uid: 1000, gid: 55, home: "/home/node"},
		"1234:55":    {uid: 1234, gid: 55, home: "/"},
		"1234":       {uid: 1234, gid: 0, home: "/"},
		"4242":       {uid: 77, gid: 78, home: "/home/number"},
		"homeless":   {uid: 5, gid: 6, home: "/"},
		"last":       {uid: 9, gid: 9, home: "/home/last"},
	} {
		got, err := lookup(etc, user)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", user, got, err, want)
		}
	}
	for user, want := range map[string]string{
		"nobody": `no user "nobody"`, "bad": "no user", "node:nogroup": `no group "nogroup"`, "node:odd": "no group",
		"-1": "no user", "99999999999": "no user", "": "no user", "node:": "no group",
	} {
		if got, err := lookup(etc, user); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, error %v, want %q", user, got, err, want)
		}
	}
	// An image from scratch has no tables.
	if got, err := lookup(t.TempDir(), "1234:1"); err != nil || got.uid != 1234 || got.gid != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	write("passwd", strings.Repeat("x", 2<<20))
	if _, err := lookup(etc, "root"); err == nil {
		t.Error("a line of two megabytes is read")
	}
}

func TestAsked(t *testing.T) {
	for want, args := range map[bool][]string{true: {"runner", Word}, false: {"runner", "serve"}} {
		if Asked(args) != want {
			t.Errorf("%q: %v", args, !want)
		}
	}
}
