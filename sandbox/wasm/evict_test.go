package wasm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	// entryCode is the size of the compiled form of an entry of these tests, and
	// entrySize what the entry takes.
	entryCode = 100_000
	entrySize = 25*blockSize + 2*blockSize
)

// TestEvict adds a module to a full cache of ten entries, and looks at what had to go
// for it.
func TestEvict(t *testing.T) {
	type entries struct {
		job    string
		n      int
		ago    time.Duration // of the last use; the first of them is the oldest
		leased int           // the first so many are about to be read, by another runner
	}
	fresh := time.Duration(0)
	for _, c := range []struct {
		name    string
		there   []entries
		add     string // the job
		size    int    // of the added one's compiled form; 0 is as that of the others
		gone    string
		refused bool
	}{
		{name: "a job alone has all", there: []entries{{"a", 10, fresh, 0}}, add: "a", gone: "a0 a1"},
		{name: "what nobody has used for an hour goes first", there: []entries{{"b", 3, 2 * time.Hour, 0}, {"a", 7, fresh, 0}}, add: "a", gone: "b0 b1"},
		{name: "and then what the largest has", there: []entries{{"b", 1, 2 * time.Hour, 0}, {"c", 2, time.Minute, 0}, {"a", 7, fresh, 0}}, add: "a", gone: "a0 b0"},
		{name: "a small job has room beside one that fills all", there: []entries{{"a", 9, fresh, 0}, {"b", 1, time.Minute, 0}}, add: "b", gone: "a0 a1"},
		{name: "who fills all leaves others what they have", there: []entries{{"b", 3, 30 * time.Minute, 0}, {"a", 7, fresh, 0}}, add: "a", gone: "a0 a1"},
		{name: "a new job beside two that share", there: []entries{{"a", 5, fresh, 0}, {"b", 5, fresh, 0}}, add: "c", gone: "a0 b0"},
		{name: "what is about to be read stays", there: []entries{{"a", 10, 2 * time.Hour, 8}}, add: "b", gone: "a8 a9"},
		{name: "as long as it is fresh too", there: []entries{{"a", 6, fresh, 2}, {"b", 4, fresh, 4}}, add: "b", gone: "a2 a3"},
		{name: "all is about to be read", there: []entries{{"a", 10, fresh, 10}}, add: "b", gone: "+", refused: true},
		{name: "too large in any case", there: []entries{{"a", 4, 2 * time.Hour, 0}, {"b", 2, fresh, 0}}, add: "b", size: 10 * entrySize, gone: "+", refused: true},
		{name: "large", there: []entries{{"a", 4, 2 * time.Hour, 0}, {"b", 3, fresh, 0}}, add: "b", size: 6 * entrySize, gone: "a0 a1 a2 a3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache := newCache(t, 10*entrySize, entryCode, nil)
			other := newCache(t, 10*entrySize, entryCode, nil)
			other.dir = cache.dir
			names := map[string]int32{}
			for _, e := range c.there {
				for i := range e.n {
					n := int32(len(names)) //nolint:gosec // a few
					names[fmt.Sprint(e.job, i)] = n
					if refused := ensuredFor(t, cache, asker{e.job, func(string) {}}, n); refused != "" {
						t.Fatal(refused)
					}
					if i < e.leased {
						l, err := other.lease(t.Context(), sumOf(numbered(n)))
						if l == nil || err != nil {
							t.Fatal("no lease: ", err)
						}
						defer l.end()
					}
					setAge(t, cache, n, e.ago+time.Duration(e.n-i)*time.Second)
				}
			}
			names["+"] = int32(len(names)) //nolint:gosec // a few
			if c.size > 0 {
				cache.compile = newCache(t, 0, c.size, nil).compile
			}
			refused := ensuredFor(t, cache, asker{c.add, func(string) {}}, names["+"])
			if (refused != "") != c.refused || c.refused && !strings.Contains(refused, "does not fit into the 1.1 MiB of all compiled modules (sandbox.compiled_size)") {
				t.Errorf("it is refused with %q, want %v", refused, c.refused)
			}
			var gone []string
			for name, n := range names {
				if _, err := os.Stat(filepath.Join(cache.dir, sumOf(numbered(n))+manifestSuffix)); err != nil {
					gone = append(gone, name)
				}
			}
			if slices.Sort(gone); strings.Join(gone, " ") != c.gone {
				t.Errorf("gone are %q, want %q", gone, c.gone)
			}
			inner, err := filepath.Glob(filepath.Join(cache.dir, "wazero-*", "*"))
			if err != nil || len(inner) != len(names)-len(gone) {
				t.Errorf("%d compiled forms are left, want %d", len(inner), len(names)-len(gone))
			}
		})
	}
}

// TestDropUsedMeanwhile leaves an entry that was used after it was listed.
func TestDropUsedMeanwhile(t *testing.T) {
	c := newCache(t, 10*entrySize, entryCode, nil)
	if refused := ensured(t, c, 1); refused != "" {
		t.Fatal(refused)
	}
	setAge(t, c, 1, time.Hour)
	list, err := c.entries()
	if err != nil || len(list) != 1 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	if refused := ensured(t, c, 1); refused != "" || c.drop(list[0]) || !c.valid(list[0].hash) {
		t.Fatalf("it is gone: %s", refused)
	}
	if list, err = c.entries(); err != nil || !c.drop(list[0]) || c.valid(list[0].hash) {
		t.Errorf("it is there: %v", err)
	}
}

// TestLeases has the jobs of two runners compile and read in a cache that is
// small for them: what a job was told of stays until it was read.
func TestLeases(t *testing.T) {
	const jobs, modules = 4, 30
	one := newCache(t, 3*jobs*entrySize, entryCode, nil)
	two := newCache(t, 3*jobs*entrySize, entryCode, nil)
	two.dir = one.dir
	var wg sync.WaitGroup
	for i, c := range []*cache{one, two} {
		for j := range jobs {
			by := asker{fmt.Sprint(i, j), func(string) {}}
			wg.Go(func() {
				for n := range modules {
					// Some are of all jobs, some of one.
					number := int32(n) //nolint:gosec // a few
					if n%3 > 0 {
						number += int32(1000 * (1 + i*jobs + j)) //nolint:gosec // as above
					}
					v, held, err := c.ensure(t.Context(), numbered(number), DefaultLimits(), by, nil)
					if err != nil || v.Error != "" || held == nil {
						t.Errorf("module %d: %q, %v", number, v.Error, err)
						continue
					}
					m, err := c.manifest(strings.TrimSuffix(v.File, moduleSuffix))
					for range 20 {
						for _, name := range []string{v.File, m.Entry} {
							if err == nil {
								_, err = os.Lstat(filepath.Join(c.dir, name))
							}
						}
					}
					if held.end(); err != nil {
						t.Errorf("module %d was gone before it was read: %v", number, err)
					}
				}
			})
		}
	}
	wg.Wait()
}

// TestLeaseEnds ends a lease that no worker ends.
func TestLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, 10*entrySize, entryCode, nil)
		_, held, err := c.ensure(t.Context(), numbered(1), DefaultLimits(), nobody(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer held.end()
		list, err := c.entries()
		if err != nil || c.drop(list[0]) {
			t.Fatalf("it is gone while it is leased: %v", err)
		}
		time.Sleep(leaseTime + time.Second)
		if !c.drop(list[0]) {
			t.Error("it is leased for ever")
		}
	})
}
