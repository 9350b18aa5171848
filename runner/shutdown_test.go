package runner

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// stage is how far a shutdown has come.
func (s *shutdown) stage() int {
	stage := 0
	for _, ended := range []<-chan struct{}{s.fetching.Done(), s.cancel, s.jobs.Done(), s.reports.Done()} {
		select {
		case <-ended:
			stage++
		default:
			return stage
		}
	}
	return stage
}

func wantStage(t *testing.T, s *shutdown, want int) {
	t.Helper()
	synctest.Wait()
	if got := s.stage(); got != want {
		t.Fatalf("stage %d, want %d", got, want)
	}
}

func TestShutdownStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stops := make(chan struct{})
		s := newShutdown(t.Context(), stops, nil, time.Hour, slog.New(slog.DiscardHandler))
		defer s.end()
		wantStage(t, s, 0)
		time.Sleep(24 * time.Hour)
		wantStage(t, s, 0)
		stops <- struct{}{}
		wantStage(t, s, 1)
		time.Sleep(time.Hour - time.Second)
		wantStage(t, s, 1)
		time.Sleep(time.Second)
		wantStage(t, s, 2) // the timeout is over
		time.Sleep(24 * time.Hour)
		wantStage(t, s, 2)
		stops <- struct{}{}
		wantStage(t, s, 3)
		stops <- struct{}{}
		wantStage(t, s, 4)
	})
}

func TestShutdownSecondRequestCutsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stops := make(chan struct{})
		s := newShutdown(t.Context(), stops, nil, time.Hour, slog.New(slog.DiscardHandler))
		defer s.end()
		stops <- struct{}{}
		stops <- struct{}{}
		wantStage(t, s, 2)
	})
}

func TestShutdownWithoutTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newShutdown(ctx, nil, nil, 0, slog.New(slog.DiscardHandler))
		defer s.end()
		wantStage(t, s, 0)
		cancel() // the end of the caller's context is a first request
		wantStage(t, s, 2)
	})
}

func TestReportingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stops := make(chan struct{})
		s := newShutdown(t.Context(), stops, nil, 0, slog.New(slog.DiscardHandler))
		defer s.end()
		early, cancelEarly := s.reporting()
		defer cancelEarly()
		done, cancelDone := s.reporting()
		cancelDone()
		if done.Err() == nil {
			t.Error("a report that is done holds its context")
		}
		time.Sleep(48 * time.Hour)
		if early.Err() != nil {
			t.Fatal("a report was given up while the runner runs")
		}
		stops <- struct{}{}
		synctest.Wait()
		late, cancelLate := s.reporting()
		defer cancelLate()
		time.Sleep(reportGrace - time.Second)
		if early.Err() != nil || late.Err() != nil {
			t.Fatal("a report was given up before its time")
		}
		time.Sleep(time.Second + time.Millisecond)
		for _, ctx := range []context.Context{early, late} {
			if !errors.Is(context.Cause(ctx), errStopping) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
		}
	})
}

func TestReportingEndsWithTheLastStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stops := make(chan struct{})
		s := newShutdown(t.Context(), stops, nil, 0, slog.New(slog.DiscardHandler))
		defer s.end()
		ctx, cancel := s.reporting()
		defer cancel()
		for range 3 {
			stops <- struct{}{}
		}
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), errKilled) {
			t.Errorf("cause %v", context.Cause(ctx))
		}
	})
}

// A drain ends the fetching and nothing else, however long it takes; a request to
// stop after it is a first one.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stops, drains := make(chan struct{}), make(chan struct{}, 1)
		s := newShutdown(t.Context(), stops, drains, time.Hour, slog.New(slog.DiscardHandler))
		defer s.end()
		drains <- struct{}{}
		wantStage(t, s, 1)
		ctx, cancel := s.reporting()
		defer cancel()
		time.Sleep(240 * time.Hour)
		wantStage(t, s, 1)
		if ctx.Err() != nil || !errors.Is(context.Cause(s.fetching), errDraining) {
			t.Errorf("reports ended: %v; fetching by %v", ctx.Err(), context.Cause(s.fetching))
		}
		stops <- struct{}{}
		wantStage(t, s, 1)
		time.Sleep(time.Hour)
		wantStage(t, s, 2)
		if !errors.Is(context.Cause(ctx), errStopping) {
			t.Errorf("the report goes on: %v", context.Cause(ctx))
		}
	})
}
