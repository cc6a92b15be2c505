package natsengine_test

import (
	"context"
	"sync"
	"testing"

	"fanfare/broker/enginetest"
	"fanfare/models"
)

// TestFollowAmidPublishing: what is answered while a follower looks where the log is does not look lost.
func TestFollowAmidPublishing(t *testing.T) {
	engine := start(t, embedded(t, t.TempDir(), enginetest.Generous()))
	first := publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID
	ctx, stop := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	for range 4 {
		publishing.Go(func() {
			for ctx.Err() == nil {
				if receipt, err := engine.Publish(ctx, models.Draft{Topic: "a", Data: []byte("1")}); err == nil && receipt.ID.Epoch != first.Epoch {
					t.Errorf("%v comes after %v", receipt.ID, first)
					return
				}
			}
		})
	}
	for range 50 {
		if _, err := engine.Follow(t.Context()); err != nil {
			t.Error(err)
		}
		engine.Rest()
	}
	stop()
	publishing.Wait()
}
