package bench

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// figures is what a process says about itself. NaN is what it does not say.
type figures struct {
	cpu        float64 // seconds, user and system
	rss        float64 // bytes of memory that is resident
	heap       float64 // bytes of memory in use by the heap's spans
	stack      float64 // bytes of memory in use by stacks
	goroutines float64
	files      float64 // open descriptors
}

// figure is one of the figures under its name in /metrics.
type figure struct {
	name  string
	value *float64
}

func (f *figures) all() []figure {
	return []figure{
		{"process_cpu_seconds_total", &f.cpu},
		{"process_resident_memory_bytes", &f.rss},
		{"go_memstats_heap_inuse_bytes", &f.heap},
		{"go_memstats_stack_inuse_bytes", &f.stack},
		{"go_goroutines", &f.goroutines},
		{"process_open_fds", &f.files},
	}
}

// noFigures is what a process that says nothing says.
func noFigures() figures {
	var f figures
	for _, each := range f.all() {
		*each.value = math.NaN()
	}
	return f
}

// parseFigures finds the figures in the text format of Prometheus.
func parseFigures(text string) figures {
	f := noFigures()
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		all := f.all()
		i := slices.IndexFunc(all, func(each figure) bool { return each.name == fields[0] })
		if i < 0 {
			continue
		}
		if value, err := strconv.ParseFloat(fields[1], 64); err == nil {
			*all[i].value = value
		}
	}
	return f
}

// String writes the figures as parseFigures reads them.
func (f figures) String() string {
	var text strings.Builder
	for _, each := range f.all() {
		if !math.IsNaN(*each.value) {
			fmt.Fprintf(&text, "%s %v\n", each.name, *each.value)
		}
	}
	return text.String()
}

// ownFigures are those of this process.
func ownFigures() figures {
	f := noFigures()
	f.cpu = cpuTime()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	f.heap, f.stack = float64(memory.HeapInuse), float64(memory.StackInuse)
	f.goroutines = float64(runtime.NumGoroutine())
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(statm); len(fields) > 1 {
			if pages, err := strconv.ParseFloat(string(fields[1]), 64); err == nil {
				f.rss = pages * float64(os.Getpagesize())
			}
		}
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.files = float64(len(open) - 1) // one of them is for looking
	}
	return f
}
