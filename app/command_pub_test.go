package app

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"fanfare/app/remote"
)

func TestEachLine(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"nothing":                {"", nil},
		"lines":                  {"a\nb\n", []string{"a", "b"}},
		"no end":                 {"a\nb", []string{"a", "b"}},
		"of Windows":             {"a\r\nb\r\n", []string{"a", "b"}},
		"an empty line":          {"a\n\nb\n", []string{"a", "", "b"}},
		"a line break alone":     {"\n", []string{""}},
		"white space stays":      {" a \t\n", []string{" a \t"}},
		"longer than its buffer": {strings.Repeat("x", 1<<20) + "\ny", []string{strings.Repeat("x", 1<<20), "y"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := eachLine(strings.NewReader(tt.text), func(line []byte) error {
				got = append(got, string(line))
				return nil
			})
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	endless := io.MultiReader(strings.NewReader("a\n"), io.LimitReader(endlessLine{}, 2*maxLine))
	if err := eachLine(endless, func([]byte) error { return nil }); err == nil || err.Error() != "it is longer than 64 MiB" {
		t.Errorf("a line without end: %v", err)
	}
}

// endlessLine is a line that does not end.
type endlessLine struct{}

func (endlessLine) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// TestGather: what comes while nobody takes it gathers, up to what one request may have; then it waits.
func TestGather(t *testing.T) {
	large := strings.Repeat("x", remote.MaxBatchSize/2)
	tests := map[string]struct {
		text  string
		count int
		want  []int // how many are in each batch
	}{
		"small ones": {"a", 2500, []int{1000, 1000, 500}},
		"large ones": {large, 5, []int{2, 2, 1}},
		"none":       {"", 0, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in, out := make(chan remote.Message), make(chan []remote.Message)
				go func() {
					defer close(in)
					for i := range tt.count {
						in <- remote.NewMessage("t", strconv.Itoa(i), []byte(tt.text), false)
					}
				}()
				go gather(t.Context(), in, out)
				var got []int
				next := 0
				for {
					synctest.Wait() // until no more can come
					batch, more := <-out
					if !more {
						break
					}
					got = append(got, len(batch))
					for _, m := range batch {
						if m.Key != strconv.Itoa(next) {
							t.Fatalf("message %s, want %d", m.Key, next)
						}
						next++
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestGatherEnds with its context, whoever waits.
func TestGatherEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	out := make(chan []remote.Message)
	go gather(ctx, make(chan remote.Message), out)
	cancel(errors.New("enough"))
	if batch, more := <-out; more {
		t.Errorf("there is %v", batch)
	}
}
