package natsengine_test

import (
	"testing"
	"time"

	"fanfare/broker/natsengine/natstest"
)

// TestLogStatsOfALogThatIsAway: what was seen of a log that is away is not told for long, and is told again when
// it is back.
func TestLogStatsOfALogThatIsAway(t *testing.T) {
	t.Parallel()
	cluster := natstest.Start(t, 1)
	e := started(t, cluster, "SEEN", cluster.Server(0), time.Second)
	awaitTold := func(want bool) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			_, err := e.LogStats()
			if err != nil && !isAway(err) {
				t.Fatal(err)
			}
			if (err == nil) == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("whether it is told does not become %v", want)
			}
		}
	}
	awaitTold(true)
	cluster.Server(0).Pause()
	awaitTold(false)
	cluster.Server(0).Resume()
	awaitTold(true)
}
