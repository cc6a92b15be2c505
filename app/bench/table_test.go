package bench

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	table := &table{}
	table.add("", "cost", "kept")
	table.add("Fanfare", "4.10 µs", "yes")
	table.add("floor", "12.0 µs", "")
	var text strings.Builder
	if err := table.write(&text); err != nil {
		t.Fatal(err)
	}
	const want = `
|         |    cost | kept |
|---------|--------:|-----:|
| Fanfare | 4.10 µs |  yes |
| floor   | 12.0 µs |      |
`
	if diff := cmp.Diff(want, "\n"+text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCells(t *testing.T) {
	nan := math.NaN()
	tests := map[string]struct{ got, want string }{
		"seconds":                     {inTime(1.5), "1.50 s"},
		"milliseconds":                {inTime(0.0123), "12.3 ms"},
		"microseconds":                {inTime(999e-6), "999 µs"},
		"nanoseconds":                 {inTime(250e-9), "250 ns"},
		"no time":                     {inTime(0), "0 ns"},
		"unknown time":                {inTime(nan), "-"},
		"in microseconds":             {inMicroseconds(4.123e-6), "4.12 µs"},
		"less than one":               {inMicroseconds(18e-8), "0.18 µs"},
		"KiB":                         {inKiB(1536), "1.50 KiB"},
		"MiB":                         {inMiB(300 << 20), "300 MiB"},
		"less than before":            {inKiB(-1536), "-1.50 KiB"},
		"unknown size":                {inMiB(nan), "-"},
		"thousands":                   {grouped(1234567), "1,234,567"},
		"hundreds":                    {grouped(999), "999"},
		"below nothing":               {grouped(-1000), "-1,000"},
		"an unknown number":           {grouped(nan), "-"},
		"three digits":                {digits(3654.4), "3,654"},
		"divided by nothing":          {digits(math.Inf(1)), "-"},
		"rounds that differ":          {spread{2, 1, 3}.cell(digits), "2.00 (1.00 to 3.00)"},
		"one round":                   {spread{2, 2, 2}.cell(digits), "2.00"},
		"rounds that are not known":   {spread{nan, nan, nan}.cell(digits), "-"},
		"within the budget":           {verdict(1.1, 1.15), "yes"},
		"just within":                 {verdict(1.15, 1.15), "yes"},
		"beyond the budget":           {verdict(1.16, 1.15), "no"},
		"nobody knows how far it was": {verdict(nan, 1.15), "-"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}
