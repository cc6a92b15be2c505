package broker

import (
	"testing"

	"fanfare/models"
)

// TestCensusForgetsAddresses: one without clients takes no memory, and none does without a limit.
func TestCensusForgetsAddresses(t *testing.T) {
	connection := models.Connection{RemoteAddress: "192.0.2.1:1"}
	for perAddress, want := range map[int]int{0: 0, 5: 1} {
		c := newCensus(0, perAddress)
		for range 2 {
			if err := c.enter(connection); err != nil {
				t.Fatal(err)
			}
		}
		c.leave(connection, models.CloseNormal)
		if n := len(c.networks); n != want {
			t.Errorf("at most %d: %d addresses with a client there", perAddress, n)
		}
		c.leave(connection, models.CloseNormal)
		if n := len(c.networks); n != 0 {
			t.Errorf("at most %d: %d addresses without", perAddress, n)
		}
	}
}
