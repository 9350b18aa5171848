package pipe_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/sandbox/wasm/guest/pipe"
)

func TestCarriesEverything(t *testing.T) {
	r, w := pipe.New()
	want := bytes.Repeat([]byte("0123456789"), 50_000)
	go func() {
		for data := want; len(data) > 0; {
			n := min(len(data), 777)
			if _, err := w.Write(data[:n]); err != nil {
				t.Error(err)
			}
			data = data[n:]
		}
		w.Close()
	}()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestWriterRunsAheadByTheCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := pipe.New()
		if n, err := w.Write(make([]byte, pipe.Capacity)); n != pipe.Capacity || err != nil {
			t.Fatal(n, err)
		}
		done := false
		go func() {
			_, _ = w.Write([]byte("x"))
			done = true
		}()
		synctest.Wait()
		if done {
			t.Fatal("a full pipe takes more")
		}
		_, _ = r.Read(make([]byte, 1))
		synctest.Wait()
		if !done {
			t.Fatal("room does not wake the writer")
		}
	})
}

func TestWriterWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := pipe.New()
		r.Close()
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatalf("directly after: %v", err)
		}
		if _, err := w.Write(make([]byte, pipe.Capacity)); !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("more than the buffer holds: %v", err)
		}
		time.Sleep(pipe.Grace + 1)
		if _, err := w.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) || !w.Broken() {
			t.Fatalf("after the grace: %v", err)
		}
	})
}

func TestDeadlineWakesTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := pipe.New()
		go func() {
			time.Sleep(time.Second)
			_ = r.SetReadDeadline(time.Now())
		}()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	})
}
