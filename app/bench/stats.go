package bench

import (
	"math"
	"slices"
	"time"
)

// samples keeps durations for their percentiles: all of them up to limit, which must be
// even, and beyond that every second, every fourth, and so on. It belongs to one
// goroutine at a time.
type samples struct {
	limit int

	kept    []time.Duration
	every   int
	seen    int
	longest time.Duration
}

// maxSamples is how many durations one percentile is computed from, at most.
const maxSamples = 1 << 20

func newSamples(limit int) *samples {
	return &samples{limit: limit, every: 1}
}

func (s *samples) add(d time.Duration) {
	s.longest = max(s.longest, d)
	if s.seen%s.every == 0 {
		s.kept = append(s.kept, d)
		if len(s.kept) == s.limit {
			s.thin(2)
		}
	}
	s.seen++
}

// thin keeps the first of every so many.
func (s *samples) thin(every int) {
	kept := s.kept[:0]
	for i := 0; i < len(s.kept); i += every {
		kept = append(kept, s.kept[i])
	}
	s.kept = kept
	s.every *= every
}

// distribution is what the samples of many are like together. It is sorted.
type distribution struct {
	sorted  []time.Duration
	longest time.Duration
}

// pool puts samples together. Those of which more was kept are thinned, so that each
// counts for what it has seen.
func pool(all []*samples) distribution {
	var d distribution
	every := 1
	for _, s := range all {
		every = max(every, s.every)
	}
	for _, s := range all {
		s.thin(every / s.every)
		d.sorted = append(d.sorted, s.kept...)
		d.longest = max(d.longest, s.longest)
	}
	slices.Sort(d.sorted)
	return d
}

// percentile gives the smallest sample that p percent of all do not exceed, in seconds;
// NaN if there is none.
func (d distribution) percentile(p float64) float64 {
	if len(d.sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(p / 100 * float64(len(d.sorted))))
	return d.sorted[max(rank, 1)-1].Seconds()
}

// max gives the longest, which is never left out, in seconds; NaN if there is none.
func (d distribution) max() float64 {
	if len(d.sorted) == 0 {
		return math.NaN()
	}
	return d.longest.Seconds()
}

// spread is the median of some rounds, with the least and the most. NaN is what is not to
// be had.
type spread struct {
	median, least, most float64
}

// spreadOf is NaN if one of the values is, or if there is none.
func spreadOf(values []float64) spread {
	if len(values) == 0 || slices.ContainsFunc(values, math.IsNaN) {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{median, sorted[0], sorted[len(sorted)-1]}
}

// ratios divides round by round, so that what slows a machine down for a while is in both.
func ratios(values, by []float64) []float64 {
	var result []float64
	for i, value := range values[:min(len(values), len(by))] {
		result = append(result, value/by[i])
	}
	return result
}
