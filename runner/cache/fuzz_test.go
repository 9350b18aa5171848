package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/*", "bytes 0-0/1", "bytes 9-0/*", "bytes -1-2/*", "bytes 0-18446744073709551616/*", "0-1/*", "bytes 1-2", "bytes  1-2/*", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseContentRange(text)
		if err != nil {
			return
		}
		if p.from < 0 || p.to <= p.from {
			t.Errorf("%q is %v", text, p)
		}
		if again, err := parseContentRange(fmt.Sprintf("bytes %d-%d/*", p.from, p.to-1)); err != nil || again != p {
			t.Errorf("%q is %v, and written again %v (%v)", text, p, again, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	for _, s := range []string{"a,b", "", ",", " a , b ", strings.Repeat("k,", 11), strings.Repeat("k", 513)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys(text)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > maxKeys {
			t.Errorf("%d keys", len(keys))
		}
		for _, k := range keys {
			if checkKey(k) != nil || !strings.Contains(text, k) {
				t.Errorf("%q has the key %q", text, k)
			}
		}
	})
}

// FuzzDescription reads entries that nobody has written.
func FuzzDescription(f *testing.F) {
	d := description{identity: identity{"s", "r", "f", "v", "k"}, Size: 3}
	tail, err := d.tail()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("abc" + string(tail))
	f.Add("ab" + string(tail))
	f.Add(mark)
	name := filepath.Join(f.TempDir(), "entry")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if d, err := read(name); err == nil && (d.Size < 0 || d.Size >= int64(len(text))) {
			t.Errorf("%d bytes have %d of content", len(text), d.Size)
		}
	})
}
