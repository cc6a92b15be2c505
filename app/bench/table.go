package bench

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// missing stands for a figure that is not to be had.
const missing = "-"

// table is a table in Markdown that can be read as it is. Its first row is the head.
type table struct {
	rows [][]string
}

func (t *table) add(cells ...string) {
	t.rows = append(t.rows, cells)
}

// write aligns the first column to the left, and the others to the right.
func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for r, row := range t.rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				text.WriteString("| " + cell + pad)
			} else {
				text.WriteString(" | " + pad + cell)
			}
		}
		text.WriteString(" |\n")
		if r == 0 {
			text.WriteString("|" + strings.Repeat("-", widths[0]+2))
			for _, width := range widths[1:] {
				text.WriteString("|" + strings.Repeat("-", width+1) + ":")
			}
			text.WriteString("|\n")
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// inTime writes seconds with a unit that fits.
func inTime(seconds float64) string {
	for _, unit := range []struct {
		name string
		is   float64
	}{{"s", 1}, {"ms", 1e-3}, {"µs", 1e-6}} {
		if seconds >= unit.is {
			return digits(seconds/unit.is) + " " + unit.name
		}
	}
	return withUnit(seconds*1e9, "ns")
}

// inMicroseconds keeps to one unit, for what is compared with a budget.
func inMicroseconds(seconds float64) string {
	return withUnit(seconds*1e6, "µs")
}

func inKiB(bytes float64) string { return withUnit(bytes/(1<<10), "KiB") }

func inMiB(bytes float64) string { return withUnit(bytes/(1<<20), "MiB") }

func withUnit(value float64, unit string) string {
	if math.IsNaN(value) {
		return missing
	}
	return digits(value) + " " + unit
}

// digits writes three digits that count, and groups those of large numbers.
func digits(value float64) string {
	size := math.Abs(value)
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return missing
	case size == 0:
		return "0"
	case size < 10:
		return fmt.Sprintf("%.2f", value)
	case size < 100:
		return fmt.Sprintf("%.1f", value)
	}
	return grouped(value)
}

// grouped writes a whole number with a comma before every three digits.
func grouped(value float64) string {
	if math.IsNaN(value) {
		return missing
	}
	text := fmt.Sprintf("%.0f", math.Abs(value))
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if value < 0 {
		return "-" + text
	}
	return text
}

// cell writes the median, and the least and the most if there were several rounds.
func (s spread) cell(write func(float64) string) string {
	if math.IsNaN(s.median) || s.least == s.most {
		return write(s.median)
	}
	return fmt.Sprintf("%s (%s to %s)", write(s.median), write(s.least), write(s.most))
}

// verdict says whether a figure keeps its budget.
func verdict(value, budget float64) string {
	switch {
	case math.IsNaN(value):
		return missing
	case value <= budget:
		return "yes"
	default:
		return "no"
	}
}
