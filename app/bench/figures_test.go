package bench

import (
	"math"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseFigures(t *testing.T) {
	nan := math.NaN()
	tests := map[string]struct {
		text string
		want figures
	}{
		"nothing": {
			want: figures{nan, nan, nan, nan, nan, nan},
		},
		"as Prometheus writes them": {
			text: `# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.34
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 2.5456640e+07
go_memstats_heap_inuse_bytes 1.0e+06
go_memstats_stack_inuse_bytes 65536
go_goroutines 71
process_open_fds 10
`,
			want: figures{12.34, 25456640, 1e6, 65536, 71, 10},
		},
		"some, among others": {
			text: "go_goroutines_total 5\ngo_goroutines{a=\"b\"} 6\nprocess_max_fds 20000\nfanfare_clients 3\ngo_goroutines 7\n",
			want: figures{nan, nan, nan, nan, 7, nan},
		},
		"with a timestamp, and blanks": {
			text: "process_cpu_seconds_total\t0.5 1795447506699\r\n\n  go_goroutines 1",
			want: figures{0.5, nan, nan, nan, 1, nan},
		},
		"that are none": {
			text: "process_cpu_seconds_total\nprocess_open_fds many\ngo_goroutines NaN\n",
			want: figures{nan, nan, nan, nan, nan, nan},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := parseFigures(tt.text)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(figures{}), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, parseFigures(got.String()), cmp.AllowUnexported(figures{}), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("written and read again (-want +got):\n%s", diff)
			}
		})
	}
}

// On Linux a child has something to say about everything.
func TestOwnFigures(t *testing.T) {
	f := ownFigures()
	for _, each := range f.all() {
		if *each.value <= 0 || math.IsNaN(*each.value) && runtime.GOOS == "linux" {
			t.Errorf("%s is %v", each.name, *each.value)
		}
	}
}
