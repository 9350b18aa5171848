package runner

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// testPart tells what becomes of it.
type testPart struct {
	name string
	told func(string)
}

func (p *testPart) retire() { p.told(p.name + " retired") }
func (p *testPart) close()  { p.told(p.name + " closed") }

// A part is retired when the generation in force has it no more, and closed when the
// last job of a generation with it has ended.
func TestGenerationsEndTheirParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var said []string
		made := 0
		generationOf := func(old *generation, key any) *generation {
			g := &generation{}
			share(g, old, key, func() *testPart {
				made++
				return &testPart{fmt.Sprint("part ", made), func(s string) {
					mu.Lock()
					defer mu.Unlock()
					said = append(said, s)
				}}
			})
			return g
		}
		want := func(words ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(said, words) {
				t.Fatalf("%q, want %q", said, words)
			}
		}
		var s generations
		s.put(generationOf(nil, "a"))
		first, endFirst := s.lease()
		s.put(generationOf(s.now(), "a"))
		second, endSecond := s.lease()
		if made != 1 || first == second {
			t.Fatalf("%d parts were made", made)
		}
		endFirst()
		want() // the second has it
		s.put(generationOf(s.now(), "b"))
		want("part 1 retired")
		s.drop(generationOf(s.now(), "b"))
		s.drop(generationOf(s.now(), "c"))
		want("part 1 retired", "part 3 closed") // what was never in force takes nothing with it
		endSecond()
		want("part 1 retired", "part 3 closed", "part 1 closed")
		_, endThird := s.lease()
		endThird()
		want("part 1 retired", "part 3 closed", "part 1 closed")
		s.close()
		if got := said[len(said)-2:]; made != 3 || !slices.Contains(got, "part 2 retired") || !slices.Contains(got, "part 2 closed") {
			t.Errorf("at the end: %q", said)
		}
	})
}
