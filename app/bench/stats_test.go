package bench

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestPercentile(t *testing.T) {
	hundred := newSamples(1000)
	for i := range 100 {
		hundred.add(time.Duration(100-i) * time.Second)
	}
	one := newSamples(1000)
	one.add(7 * time.Second)
	tests := map[string]struct {
		samples []*samples
		p       float64
		want    float64
	}{
		"half of a hundred":         {[]*samples{hundred}, 50, 50},
		"the last but one":          {[]*samples{hundred}, 99, 99},
		"between two: the greater":  {[]*samples{hundred}, 98.5, 99},
		"nearly all":                {[]*samples{hundred}, 99.9, 100},
		"all":                       {[]*samples{hundred}, 100, 100},
		"nothing is below":          {[]*samples{hundred}, 0, 1},
		"of one":                    {[]*samples{one}, 50, 7},
		"of several, put together":  {[]*samples{one, hundred}, 100, 100},
		"of none it is not to say":  {nil, 50, math.NaN()},
		"of empty ones no more so ": {[]*samples{newSamples(2)}, 99, math.NaN()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, pool(tt.samples).percentile(tt.p), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Beyond its limit a sample is taken of the whole, not of the beginning, and the longest
// is never lost.
func TestSamplesAreBounded(t *testing.T) {
	const limit, count = 64, 10_000
	s := newSamples(limit)
	for i := range count {
		s.add(time.Duration(i))
	}
	s.add(time.Hour)
	s.add(0)
	if len(s.kept) > limit || len(s.kept) < limit/2 {
		t.Errorf("%d are kept of a limit of %d", len(s.kept), limit)
	}
	for i, kept := range s.kept {
		if want := time.Duration(i * s.every); kept != want && i < count/s.every {
			t.Errorf("kept %d at %d, want %d: every %d", kept, i, want, s.every)
		}
	}
	if longest := pool([]*samples{s}).max(); longest != time.Hour.Seconds() {
		t.Errorf("the longest is %v s", longest)
	}
}

// One that has seen much does not outweigh one that has seen little, beyond what it saw.
func TestPoolWeighs(t *testing.T) {
	busy, idle := newSamples(1024), newSamples(1024)
	for range 9000 {
		busy.add(time.Second)
	}
	for range 1000 {
		idle.add(2 * time.Second)
	}
	d := pool([]*samples{busy, idle})
	if low, high := d.percentile(85), d.percentile(95); low != 1 || high != 2 {
		t.Errorf("percentile 85 is %v and 95 is %v, want 1 and 2", low, high)
	}
}

func TestSpread(t *testing.T) {
	tests := map[string]struct {
		values []float64
		want   spread
	}{
		"odd":                    {[]float64{3, 1, 2}, spread{2, 1, 3}},
		"even":                   {[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
		"one":                    {[]float64{5}, spread{5, 5, 5}},
		"none":                   {nil, spread{math.NaN(), math.NaN(), math.NaN()}},
		"one is not to be had":   {[]float64{1, math.NaN()}, spread{math.NaN(), math.NaN(), math.NaN()}},
		"round by round":         {ratios([]float64{2, 9}, []float64{1, 3}), spread{2.5, 2, 3}},
		"a round is left undone": {ratios([]float64{2, 9}, []float64{1}), spread{2, 2, 2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, spreadOf(tt.values), cmp.AllowUnexported(spread{}), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
