package broker_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// TestClientsAreLimited: of many that come at once, as many are let in as there is room
// for, and a place is free again when its client has left.
func TestClientsAreLimited(t *testing.T) {
	const limit, crowd = 5, 50
	options := defaults()
	options.Clients = limit
	s := start(t, options)
	for round := range 3 {
		if err := s.AdmitsClient(t.Context()); err != nil {
			t.Fatalf("round %d: not admitted: %v", round, err)
		}
		var coming, leaving sync.WaitGroup
		var refused atomic.Int64
		clients := make(chan *broker.Client, crowd)
		for range crowd {
			coming.Go(func() {
				c, err := s.AddClient(t.Context(), models.Caller{}, nowhere{}, models.Connection{})
				if err == nil {
					clients <- c
					return
				}
				refused.Add(1)
				if e := models.AsError(err); e.Code != models.CodeTooManyClients || e.RetryAfter == 0 {
					t.Errorf("refused with %v", err)
				}
			})
		}
		coming.Wait()
		close(clients)
		if len(clients) != limit || refused.Load() != crowd-limit {
			t.Errorf("round %d: %d of %d were let in, %d refused", round, len(clients), crowd, refused.Load())
		}
		if err := s.AdmitsClient(t.Context()); models.AsError(err).Code != models.CodeTooManyClients {
			t.Errorf("round %d: admitted although it is full: %v", round, err)
		}
		for c := range clients {
			// To remove one twice makes no second place.
			leaving.Go(func() { s.RemoveClient(c, models.CloseNormal) })
			leaving.Go(func() { s.RemoveClient(c, models.CloseNormal) })
		}
		leaving.Wait()
	}
}

// TestAdmission: the engine and the shutdown have a say in it, too.
func TestAdmission(t *testing.T) {
	engine := enginetest.NewUnruly(9, enginetest.Generous())
	p, err := broker.New(t.Context(), engine, defaults())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AdmitsClient(t.Context()); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	engine.GoAway()
	if err := p.AdmitsClient(t.Context()); models.AsError(err).Code != models.CodeEngineUnavailable {
		t.Errorf("without the engine: %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.AdmitsClient(t.Context()); models.AsError(err).Code != models.CodeShuttingDown {
		t.Errorf("after the close: %v", err)
	}
}
