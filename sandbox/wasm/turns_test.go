package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// compiling is one compiling of a job in TestTurns.
type compiling struct {
	job    string
	at     time.Duration // when it is asked for
	leaves time.Duration // after which it is canceled; 0 is never
}

// TestTurns has jobs compile, each module for a minute, and looks at who comes when.
func TestTurns(t *testing.T) {
	for _, c := range []struct {
		name string
		most int
		set  map[time.Duration]int // changes of most
		ask  []compiling
		want string // job@minute of each that ran, in order
	}{
		{name: "room for all", most: 3, ask: []compiling{{job: "a"}, {job: "b"}, {job: "c"}}, want: "a@0 b@0 c@0"},
		{name: "no more at a time than allowed", most: 2, ask: []compiling{{job: "a"}, {job: "b"}, {job: "c"}, {job: "d"}, {job: "e"}}, want: "a@0 b@0 c@1 d@1 e@2"},
		{
			name: "a job with many does not starve another one", most: 1,
			ask:  []compiling{{job: "a"}, {job: "a"}, {job: "a"}, {job: "a"}, {job: "b", at: time.Second}, {job: "b", at: 2 * time.Second}, {job: "c", at: 3 * time.Second}},
			want: "a@0 a@1 b@2 c@3 a@4 b@5 a@6",
		},
		{
			name: "the runner's own is next", most: 1,
			ask:  []compiling{{job: "a"}, {job: "b"}, {job: "c"}, {job: "", at: time.Second}, {job: "", at: 2 * time.Second}},
			want: "a@0 @1 @2 b@3 c@4",
		},
		{
			name: "who is canceled takes nobody's turn", most: 1,
			ask:  []compiling{{job: "a"}, {job: "b", leaves: time.Second}, {job: "c"}, {job: "c", leaves: 90 * time.Second}, {job: "d"}},
			want: "a@0 c@1 d@2",
		},
		{
			name: "more, and then fewer, at a time", most: 1, set: map[time.Duration]int{30 * time.Second: 3, 105 * time.Second: 1},
			ask:  []compiling{{job: "a"}, {job: "b"}, {job: "c"}, {job: "d"}, {job: "e"}, {job: "f"}, {job: "g"}},
			want: "a@0 b@0.5 c@0.5 d@1 e@1.5 f@1.5 g@2.5",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns := NewTurns(c.most)
				began := time.Now()
				cause := errors.New("this job was canceled")
				ran := make([]time.Duration, len(c.ask)) // when; negative: never
				ended := make(chan error)
				for i, one := range c.ask {
					time.Sleep(one.at - time.Since(began))
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					go func() {
						if one.leaves > 0 {
							leave := time.AfterFunc(one.leaves, func() { cancel(cause) })
							defer leave.Stop()
						}
						err := turns.wait(ctx, one.job)
						if err == nil {
							ran[i] = time.Since(began)
							time.Sleep(time.Minute)
							turns.done()
						} else if ran[i] = -1; !errors.Is(err, cause) || time.Since(began) != one.leaves {
							t.Errorf("%s left after %v with %v, want %v", one.job, time.Since(began), err, one.leaves)
						}
						ended <- err
					}()
					synctest.Wait()
				}
				for after, most := range c.set {
					change := time.AfterFunc(after-time.Since(began), func() { turns.Set(most) })
					defer change.Stop()
				}
				for range c.ask {
					<-ended
				}
				if got := inOrder(c.ask, ran); got != c.want {
					t.Errorf("%s ran, want %s", got, c.want)
				}
				if turns.running != 0 || len(turns.queue) != 0 {
					t.Errorf("%d turns and %d lines are left", turns.running, len(turns.queue))
				}
			})
		})
	}
}

// inOrder spells who ran, and in which minute.
func inOrder(asked []compiling, ran []time.Duration) string {
	var order []int
	for i := range asked {
		if ran[i] >= 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ran[a], ran[b]) })
	var out []string
	for _, i := range order {
		out = append(out, fmt.Sprintf("%s@%g", asked[i].job, ran[i].Minutes()))
	}
	return strings.Join(out, " ")
}

// TestTurnsAtTheLastMoment gives on a turn that came in the moment of the cancel.
func TestTurnsAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 { // who is first is chance
			turns := NewTurns(1)
			if !turns.atOnce() {
				t.Fatal("there is no turn")
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- turns.wait(ctx, "a") }()
			synctest.Wait()
			cancel()
			turns.done() // before the one who waits has looked
			if err := <-ended; err == nil {
				turns.done()
			}
			if turns.running != 0 {
				t.Fatalf("%d turns are taken", turns.running)
			}
		}
	})
}

// TestMachineTurns is what machines of a size bear.
func TestMachineTurns(t *testing.T) {
	for _, c := range []struct {
		processors int
		memory     uint64
		want       int
	}{
		{1, 1 << 30, 1}, {2, 2 << 30, 1}, {2, 8 << 30, 2}, {8, 16 << 30, 4}, {8, 15 << 30, 3}, {4, 64 << 30, 4}, {4, 0, 4}, {0, 0, 1},
	} {
		if got := machineTurns(c.processors, c.memory); got != c.want {
			t.Errorf("%d processors and %d GiB: %d, want %d", c.processors, c.memory>>30, got, c.want)
		}
	}
}
