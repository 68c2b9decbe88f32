package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The plot is the cumulative distribution of the latencies. The horizontal axis
// is the latency, and the vertical axis the share of the tokens that took no
// longer.
const (
	plotWidth, plotHeight                          = 720, 400
	plotLeft, plotRight, plotTop, plotBottom int64 = 64, 24, 72, 56
)

// plotHead uses neither CSS variables nor gradients, so that simple viewers can
// show the plot.
const plotHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 400" width="720" height="400" role="img" font-family="system-ui, sans-serif" font-size="13">
<style>
.paper { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e } .grid { stroke: #d1d9e0 } .line { stroke: #0969da } .dot { fill: #0969da }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d } .line { stroke: #4493f8 } .dot { fill: #4493f8 }
}
</style>
<rect class="paper" width="720" height="400"/>
`

// plot draws the latencies as an SVG.
func (r *result) plot() []byte {
	var b bytes.Buffer
	b.WriteString(plotHead)
	text := func(class, anchor string, x, y float64, s string) {
		fmt.Fprintf(&b, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">`, class, anchor, x, y)
		xml.EscapeText(&b, []byte(s))
		b.WriteString("</text>\n")
	}
	title := fmt.Sprintf("Latency of %d %s tokens, %d at a time", r.Issued, r.Alg, r.Concurrency)
	b.WriteString("<title>")
	xml.EscapeText(&b, []byte(title))
	b.WriteString("</title>\n")
	text("ink", "start", float64(plotLeft), 28, title)
	n := len(r.latencies)
	if n == 0 {
		text("soft", "start", float64(plotLeft), 50, "no token was issued")
		b.WriteString("</svg>\n")
		return b.Bytes()
	}
	text("soft", "start", float64(plotLeft), 50, fmt.Sprintf("%.0f tokens a second, %d connections opened; p50 %s, p95 %s, p99 %s, longest %s ms",
		r.PerSecond, r.Connections, digits(r.Latency.P50), digits(r.Latency.P95), digits(r.Latency.P99), digits(r.Latency.Max)))

	// The axis is logarithmic, because the longest latencies are often a
	// hundred times the median.
	ticks := logTicks(ms(r.latencies[0]), ms(r.latencies[n-1]))
	low, high := math.Log(ticks[0]), math.Log(ticks[len(ticks)-1])
	left, right := float64(plotLeft), float64(plotWidth-plotRight)
	top, bottom := float64(plotTop), float64(plotHeight-plotBottom)
	x := func(ms float64) float64 { return left + (math.Log(max(ms, ticks[0]))-low)/(high-low)*(right-left) }
	y := func(share float64) float64 { return bottom - share*(bottom-top) }
	grid := func(x1, y1, x2, y2 float64) {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", x1, y1, x2, y2)
	}
	for _, t := range ticks {
		grid(x(t), top, x(t), bottom)
		label := strconv.FormatFloat(t, 'f', -1, 64)
		if len(ticks) <= 14 || strings.Trim(label, "0.") == "1" { // otherwise the labels would touch
			text("soft", "middle", x(t), bottom+20, label)
		}
	}
	for _, percent := range []float64{0, 25, 50, 75, 100} {
		grid(left, y(percent/100), right, y(percent/100))
		text("soft", "end", left-8, y(percent/100)+4, fmt.Sprintf("%.0f %%", percent))
	}
	text("soft", "middle", (left+right)/2, bottom+42, "milliseconds, on a logarithmic scale")

	// Draw about two hundred points, and more in the last percent, where single
	// tokens can be seen.
	fmt.Fprintf(&b, `<path class="line" fill="none" stroke-width="2" d="M%.1f %.1f`, x(ms(r.latencies[0])), y(0))
	for i := 0; i < n; {
		fmt.Fprintf(&b, "L%.1f %.1f", x(ms(r.latencies[i])), y(float64(i+1)/float64(n)))
		step := n / 200
		if i >= n*99/100 {
			step = n / 5000
		}
		if next := i + max(step, 1); next >= n && i < n-1 {
			i = n - 1
		} else {
			i = next
		}
	}
	b.WriteString("\"/>\n")
	for _, p := range []struct {
		name  string
		ms    float64
		share float64
	}{{"p50", r.Latency.P50, 0.50}, {"p95", r.Latency.P95, 0.95}, {"p99", r.Latency.P99, 0.99}} {
		fmt.Fprintf(&b, `<circle class="dot" cx="%.1f" cy="%.1f" r="4"><title>%s: %s ms</title></circle>`+"\n", x(p.ms), y(p.share), p.name, digits(p.ms))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// digits formats milliseconds, with one decimal below 100.
func digits(ms float64) string {
	if ms >= 100 {
		return strconv.FormatFloat(ms, 'f', 0, 64)
	}
	return strconv.FormatFloat(ms, 'f', 1, 64)
}

// logTicks returns the shortest run of the numbers ..., 0.5, 1, 2, 5, 10, ...
// that encloses low and high. It has at least two numbers.
func logTicks(low, high float64) []float64 {
	low = max(low, 0.001)
	high = max(high, low)
	var ticks []float64
	for exp := -3.0; exp < 13; exp++ {
		for _, m := range []float64{1, 2, 5} {
			var t float64
			if exp < 0 {
				t = m / math.Pow(10, -exp) // the float64 nearest to the decimal
			} else {
				t = m * math.Pow(10, exp)
			}
			if t <= low {
				ticks = ticks[:0]
			}
			ticks = append(ticks, t)
			if t > high {
				return ticks
			}
		}
	}
	return ticks
}
