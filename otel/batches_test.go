package otel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// exportedLogs notes when which bodies were exported.
type exportedLogs struct {
	began time.Time
	hangs bool // until its context ends

	mu    sync.Mutex
	calls []string
	ended int
}

func (e *exportedLogs) Export(ctx context.Context, records []sdklog.Record) error {
	var bodies []string
	for _, r := range records {
		body := r.Body()
		bodies = append(bodies, body.AsString())
	}
	e.mu.Lock()
	e.calls = append(e.calls, fmt.Sprintf("%v: %s", time.Since(e.began), strings.Join(bodies, " ")))
	e.mu.Unlock()
	if e.hangs {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (e *exportedLogs) ForceFlush(context.Context) error { return nil }

func (e *exportedLogs) Shutdown(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended++
	return nil
}

func (e *exportedLogs) check(t *testing.T, ended int, want ...string) {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.calls, want) || e.ended != ended {
		t.Errorf("exported:\n%s\nwant:\n%s\nshut down %d times, want %d", strings.Join(e.calls, "\n"), strings.Join(want, "\n"), e.ended, ended)
	}
}

func batchesOf(e *exportedLogs, size string) (*batches, func(...string)) {
	e.began = time.Now()
	b := newBatches(e, func(name string) string { return map[string]string{logBatchBy: size}[name] }, 100)
	logger := sdklog.NewLoggerProvider(sdklog.WithProcessor(b)).Logger("")
	return b, func(bodies ...string) {
		for _, body := range bodies {
			var r log.Record
			r.SetBody(attribute.StringValue(body))
			logger.Emit(context.Background(), r)
		}
	}
}

// TestBatches: a batch is sent when it is full, and when its first record has
// waited for a second; nothing is sent for nothing.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exportedLogs{}
		b, emit := batchesOf(e, "3")
		time.Sleep(10 * time.Second)
		e.check(t, 0)
		emit("a")
		time.Sleep(600 * time.Millisecond)
		emit("b")
		time.Sleep(500 * time.Millisecond)
		e.check(t, 0, "11s: a b")
		emit("c", "d", "e", "f")
		e.check(t, 0, "11s: a b", "11.1s: c d e")
		time.Sleep(time.Minute)
		e.check(t, 0, "11s: a b", "11.1s: c d e", "12.1s: f")
		emit("g")
		if err := b.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
		e.check(t, 0, "11s: a b", "11.1s: c d e", "12.1s: f", "1m11.1s: g")
		emit("h")
		for range 2 {
			if err := b.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
		emit("late")
		if err := b.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		e.check(t, 1, "11s: a b", "11.1s: c d e", "12.1s: f", "1m11.1s: g", "1m11.1s: h")
	})
}

// TestBatchesOfADeadCollector: an export that never ends is cut by its timeout, and
// nobody who emits waits for it; a shutdown that finds no end of it ends in time, and
// the rest by itself.
func TestBatchesOfADeadCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exportedLogs{hangs: true}
		b, emit := batchesOf(e, "1")
		emit("a", "b", "c")
		e.check(t, 0, "0s: a")
		if d := time.Since(e.began); d != 0 {
			t.Errorf("emitting took %v", d)
		}
		time.Sleep(31 * time.Second)
		e.check(t, 0, "0s: a", "30s: b")

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for _, call := range []func(context.Context) error{b.ForceFlush, b.Shutdown} {
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want that the time was over", err)
			}
		}
		if d := time.Since(e.began); d != 36*time.Second {
			t.Errorf("the calls ended after %v", d)
		}
		<-b.done
		e.check(t, 1, "0s: a", "30s: b", "1m0s: c")
	})
}

// TestBatchesOfMany: what several goroutines emit while it is exported arrives once
// each, in order; the memory of an empty queue is that of what is in it.
func TestBatchesOfMany(t *testing.T) {
	e := &exportedLogs{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, _ := batchesOf(e, "")
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 256<<10 {
		t.Errorf("a queue of nothing holds %d bytes", n)
	}
	logger := sdklog.NewLoggerProvider(sdklog.WithProcessor(b)).Logger("")
	const writers, rows = 4, 5000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rows {
				var r log.Record
				r.SetBody(attribute.StringValue(fmt.Sprintf("%d.%d", w, i)))
				logger.Emit(t.Context(), r)
			}
		})
	}
	wg.Wait()
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	var next [writers]int
	for _, call := range e.calls {
		_, bodies, _ := strings.Cut(call, ": ")
		for body := range strings.FieldsSeq(bodies) {
			var w, i int
			if _, err := fmt.Sscanf(body, "%d.%d", &w, &i); err != nil || i != next[w] {
				t.Fatalf("%q arrived, want row %d", body, next[w])
			}
			next[w]++
		}
	}
	if want := [writers]int{rows, rows, rows, rows}; next != want {
		t.Errorf("arrived: %v, want %v", next, want)
	}
}

// TestBatchesForget: what was sent after a long wait leaves no memory behind but that
// of a batch.
func TestBatchesForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exportedLogs{hangs: true}
		b := newBatches(e, func(string) string { return "" }, logQueue)
		logger := sdklog.NewLoggerProvider(sdklog.WithProcessor(b)).Logger("")
		held := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := held()
		for range logQueue {
			logger.Emit(t.Context(), log.Record{})
		}
		most := held() - before
		if err := b.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := held() - before; most < 4<<20 || left > 1<<20 {
			t.Errorf("the queue held %d bytes when it was full, and %d when it was empty again", most, left)
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
