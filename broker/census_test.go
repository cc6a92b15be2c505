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
		if err := s.AdmitsClient(t.Context(), models.Caller{}); err != nil {
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
		if err := s.AdmitsClient(t.Context(), models.Caller{}); models.AsError(err).Code != models.CodeTooManyClients {
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
	if err := p.AdmitsClient(t.Context(), models.Caller{}); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	engine.GoAway()
	if err := p.AdmitsClient(t.Context(), models.Caller{}); models.AsError(err).Code != models.CodeEngineUnavailable {
		t.Errorf("without the engine: %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.AdmitsClient(t.Context(), models.Caller{}); models.AsError(err).Code != models.CodeShuttingDown {
		t.Errorf("after the close: %v", err)
	}
}

// TestClientsOfAnAddressAreLimited: others come in all the same, and so does it when its clients
// have left.
func TestClientsOfAnAddressAreLimited(t *testing.T) {
	options := defaults()
	options.ClientsPerAddress = 2
	s := start(t, options)
	come := func(address string) (*broker.Client, error) {
		admits := s.AdmitsClient(t.Context(), models.Caller{Address: address})
		c, err := s.AddClient(t.Context(), models.Caller{Address: address}, nowhere{}, models.Connection{RemoteAddress: address})
		if (admits == nil) != (err == nil) {
			t.Errorf("%s: admitted with %v, added with %v", address, admits, err)
		}
		return c, err
	}
	for range 3 {
		var there []*broker.Client
		for _, address := range []string{"192.0.2.1:1", "192.0.2.1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8:0:1::1]:1"} {
			c, err := come(address)
			if err != nil {
				t.Fatalf("%s: %v", address, err)
			}
			there = append(there, c)
		}
		for _, address := range []string{"192.0.2.1:2", "[2001:db8::ffff:1]:3"} {
			_, err := come(address)
			if e := models.AsError(err); e.Code != models.CodeTooManyClients || e.RetryAfter == 0 || e.Message == models.ErrTooManyClients().Message {
				t.Errorf("%s: %v", address, err)
			}
		}
		for _, c := range there {
			s.RemoveClient(c, models.CloseNormal)
			s.RemoveClient(c, models.CloseNormal)
		}
	}
}
