package simulate_test

import (
	"testing"

	"otelrunner/runner/simulate"
)

func TestFloodArrivesWholeInFewCalls(t *testing.T) {
	const rows = 100_000
	c, err := simulate.Flood{Rows: rows, Secrets: 20}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v, %d calls, %d KiB of heap", c.Elapsed, c.Calls, c.PeakHeap>>10)
	if c.Calls > 25 {
		t.Errorf("%d UpdateLog calls for %d rows, want at most 25", c.Calls, rows)
	}
	if c.PeakHeap > 64<<20 {
		t.Errorf("the heap grew by %d MiB", c.PeakHeap>>20)
	}
}
