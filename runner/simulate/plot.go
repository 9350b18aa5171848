package simulate

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Series is one line of a plot. Points are joined, unless Floor says that it is
// what the others are compared with: then it is dashed and without points.
type Series struct {
	Name   string
	Colour string
	Points []Point
	Floor  bool
}

// Point is one measurement.
type Point struct{ X, Y float64 }

// The plot's measures in pixels.
const (
	plotWidth, plotHeight                      = 720, 400
	plotLeft, plotRight, plotTop, plotBottom   = 70, 200, 40, 50
	plotInnerWidth, plotInnerHeight            = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
	plotInk, plotGrid, plotFont, plotTicksWish = "#57606a", "#d0d7de", "font-family=\"sans-serif\" font-size=\"12\"", 5
)

// Plot writes an SVG with linear axes from 0. It is readable on light and on dark
// pages.
func Plot(w io.Writer, title, x, y string, series []Series) error {
	var maxX, maxY float64
	for _, s := range series {
		for _, p := range s.Points {
			maxX, maxY = max(maxX, p.X), max(maxY, p.Y)
		}
	}
	stepX, stepY := tick(maxX), tick(maxY)
	maxX, maxY = math.Ceil(maxX/stepX)*stepX, math.Ceil(maxY/stepY)*stepY
	at := func(p Point) (float64, float64) {
		return plotLeft + p.X/maxX*plotInnerWidth, plotTop + plotInnerHeight - p.Y/maxY*plotInnerHeight
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n", plotWidth, plotHeight, plotWidth, plotHeight, escape(title))
	text := func(px, py float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s" %s>%s</text>`+"\n", px, py, anchor, plotInk, plotFont, escape(s))
	}
	for v := 0.0; v <= maxY*1.0001; v += stepY {
		px, py := at(Point{0, v})
		fmt.Fprintf(&b, `<path d="M%.1f %.1fh%d" stroke="%s"/>`+"\n", px, py, plotInnerWidth, plotGrid)
		text(px-8, py+4, "end", number(v))
	}
	for v := 0.0; v <= maxX*1.0001; v += stepX {
		px, py := at(Point{v, 0})
		text(px, py+18, "middle", number(v))
	}
	text(plotLeft, 20, "start", title)
	text(plotLeft+plotInnerWidth/2, plotHeight-12, "middle", x)
	fmt.Fprintf(&b, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle" fill="%s" %s>%s</text>`+"\n", plotTop+plotInnerHeight/2, plotInk, plotFont, escape(y))
	for i, s := range series {
		var path strings.Builder
		for j, p := range s.Points {
			px, py := at(p)
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(j, 1)], px, py)
			if !s.Floor {
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", px, py, s.Colour)
			}
		}
		dash := ""
		if s.Floor {
			dash = ` stroke-dasharray="5 4"`
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", &path, s.Colour, dash)
		ly := float64(plotTop + 14 + 20*i)
		lx := float64(plotLeft + plotInnerWidth + 20)
		fmt.Fprintf(&b, `<path d="M%.1f %.1fh18" stroke="%s" stroke-width="2"%s/>`+"\n", lx, ly-4, s.Colour, dash)
		text(lx+24, ly, "start", s.Name)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// tick is a round distance of ticks for values up to most.
func tick(most float64) float64 {
	if most <= 0 {
		return 1
	}
	rough := most / plotTicksWish
	base := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, f := range []float64{1, 2, 5, 10} {
		if base*f >= rough {
			return base * f
		}
	}
	return base * 10
}

func number(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}
