package transport

import (
	"context"
	"testing"
)

// To have had no time is no error when nobody was there.
func TestCloseWithoutTimeAndConnections(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	inEachMode(t, func(t *testing.T, options Options) {
		for range 20 {
			carrier, err := New(options)
			if err != nil {
				t.Fatal(err)
			}
			if err := carrier.Close(ended); err != nil {
				t.Fatal(err)
			}
		}
	})
}
