package simulate_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/simulate"
)

// plotFile is the plot of the README.
const plotFile = "../../docs/fleet.svg"

func TestPlot(t *testing.T) {
	var b bytes.Buffer
	err := simulate.Plot(&b, "a < b & c", "runners", "requests a second", []simulate.Series{
		{Name: "measured", Colour: "#0969da", Points: []simulate.Point{{X: 0, Y: 0}, {X: 150, Y: 37}}},
		{Name: "floor", Colour: "#cf222e", Floor: true, Points: []simulate.Point{{X: 0, Y: 0}, {X: 150, Y: 36}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.Bytes())
	for _, want := range []string{">a &lt; b &amp; c<", ">measured<", ">150<", ">40<", "stroke-dasharray"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the plot lacks %s:\n%s", want, &b)
		}
	}
	if n := strings.Count(b.String(), "<circle"); n != 2 {
		t.Errorf("%d points", n)
	}
}

func wellFormed(t *testing.T, data []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

var update = flag.Bool("update", false, "measure anew and write the plot of the README")

// The README's plot is one of this program's; with -update it is measured again.
func TestPlotOfTheReadme(t *testing.T) {
	if *update {
		writePlot(t)
	}
	data, err := os.ReadFile(plotFile)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, data)
	readme, err := os.ReadFile("../../README.md")
	if err != nil || !strings.Contains(string(readme), "docs/fleet.svg") {
		t.Errorf("the README does not show the plot (%v)", err)
	}
}

// writePlot measures fleets of growing size.
func writePlot(t *testing.T) {
	t.Helper()
	working := simulate.Series{Name: "working, default", Colour: "#0969da"}
	floor := simulate.Series{Name: "its floor", Colour: "#0969da", Floor: true}
	halved := simulate.Series{Name: "working, halved", Colour: "#8250df"}
	idle := simulate.Series{Name: "idle", Colour: "#1a7f37"}
	for _, runners := range []int{10, 25, 50, 100, 150, 200, 300, 400} {
		measure := func(f simulate.Fleet) (c simulate.Costs) {
			synctest.Test(t, func(t *testing.T) {
				f.Runners, f.Warmup, f.Measure = runners, 15*time.Second, 30*time.Second
				if f.Tasks == 0 {
					f.Warmup, f.Measure = 5*time.Minute, 10*time.Minute
				}
				var err error
				if c, err = f.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
			return c
		}
		x := float64(runners)
		c := measure(simulate.Fleet{Tasks: 3, Writing: .7})
		working.Points = append(working.Points, simulate.Point{X: x, Y: c.Total})
		floor.Points = append(floor.Points, simulate.Point{X: x, Y: c.Floor})
		h := measure(simulate.Fleet{Tasks: 3, Writing: .7, LogLatency: 6 * time.Second, LogSweep: 10 * time.Second, StateReport: 10 * time.Second})
		halved.Points = append(halved.Points, simulate.Point{X: x, Y: h.Total})
		idle.Points = append(idle.Points, simulate.Point{X: x, Y: measure(simulate.Fleet{Capacity: 3}).Total})
	}
	var b bytes.Buffer
	if err := simulate.Plot(&b, "What a fleet costs its server (3 jobs a runner, 70 % of them write a row a second)", "runners", "requests a second", []simulate.Series{working, floor, halved, idle}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plotFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
