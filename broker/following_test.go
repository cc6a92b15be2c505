package broker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// absent is an engine whose log does not answer: Follow fails after a patience, as with a NATS server that is
// connected and has no leader.
type absent struct {
	*broker.Memory
	patience time.Duration
}

func (e absent) Follow(context.Context) (models.ID, error) {
	time.Sleep(e.patience)
	return models.ID{}, &models.Error{Code: models.CodeEngineUnavailable}
}

// TestSubscribersWaitTogether: that the log does not answer one who subscribes does not have others wait so much
// longer, nor Close.
func TestSubscribersWaitTogether(t *testing.T) {
	const patience, clients = 200 * time.Millisecond, 20
	p, err := broker.New(t.Context(), absent{broker.NewMemory(enginetest.Generous()), patience}, defaults())
	if err != nil {
		t.Fatal(err)
	}
	s := &service{p, t}
	began := time.Now()
	var subscribing sync.WaitGroup
	for range clients {
		c := s.connect(newPipe(t))
		subscribing.Go(func() {
			_ = s.Subscribe(context.Background(), models.Caller{}, c, []models.Pattern{"a"}, models.SubscribeOptions{}, models.Ack{Type: "ack"})
		})
	}
	time.Sleep(patience / 2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	closing := time.Now()
	_ = p.Close(ctx) // some clients have not left
	if time.Since(closing) > 3*patience {
		t.Errorf("Close took %v, with a deadline of %v", time.Since(closing), patience)
	}
	subscribing.Wait()
	if time.Since(began) > 5*patience {
		t.Errorf("the last of %d clients was answered after %v", clients, time.Since(began))
	}
}
