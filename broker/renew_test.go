package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"fanfare/broker"
	"fanfare/models"
)

// come connects a client for a caller.
func (s *service) comeAs(by models.Caller) (*broker.Client, *pipe) {
	s.t.Helper()
	conn := newPipe(s.t)
	c, err := s.AddClient(s.t.Context(), by, conn, models.Connection{Transport: models.TransportWebSocket})
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		conn.awaitClose()
		s.RemoveClient(c, models.CloseAbnormal)
	}()
	conn.want("welcome")
	return c, conn
}

func reader(user string, expires time.Time, patterns ...models.Pattern) models.Caller {
	return models.Caller{User: user, Scopes: &models.Scopes{Subscribe: patterns}, Expires: expires}
}

// TestExpiry: when a caller's time is up its client is closed, and not before. A renewal counts
// from then on, whether it is for longer or for less.
func TestExpiry(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for name, c := range map[string]struct {
		user           string
		expires, renew time.Duration
		closed         time.Duration
		code           models.CloseCode
	}{
		"a token":                   {user: "ada", expires: time.Hour, closed: time.Hour, code: models.CloseTokenExpired},
		"a stranger":                {expires: 10 * time.Second, closed: 10 * time.Second, code: models.CloseUnauthorized},
		"a token that has expired":  {user: "ada", expires: -time.Second, code: models.CloseTokenExpired},
		"renewed for longer":        {user: "ada", expires: minute, renew: time.Hour, closed: time.Hour, code: models.CloseTokenExpired},
		"renewed for less":          {user: "ada", expires: time.Hour, renew: minute, closed: minute, code: models.CloseTokenExpired},
		"a stranger gives its name": {expires: 10 * time.Second, renew: minute, closed: minute, code: models.CloseTokenExpired},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, defaults())
				begin := time.Now()
				client, conn := s.comeAs(reader(c.user, in(c.expires), ">"))
				if c.renew != 0 {
					if err := s.Renew(t.Context(), reader("ada", in(c.renew), ">"), client, models.NewAck(models.Request{Action: models.ActionAuth})); err != nil {
						t.Fatal(err)
					}
					if client.Caller().User != "ada" || client.Info().User != "ada" {
						t.Errorf("it acts for %+v", client.Caller())
					}
				}
				if code := conn.awaitClose(); code != c.code || time.Since(begin) != c.closed {
					t.Errorf("closed with %d after %v", code, time.Since(begin))
				}
			})
		})
	}
}

// TestRenewForEver: without an expiry a client stays, also if its caller had one before; and who
// has left does not expire.
func TestRenewForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, defaults())
		client, conn := s.comeAs(reader("ada", time.Now().Add(minute), ">"))
		if err := s.Renew(t.Context(), reader("ada", time.Time{}, ">"), client, models.NewAck(models.Request{Action: models.ActionAuth})); err != nil {
			t.Fatal(err)
		}
		gone, _ := s.comeAs(reader("bob", time.Now().Add(minute), ">"))
		s.RemoveClient(gone, models.CloseNormal)
		time.Sleep(24 * time.Hour)
		conn.mu.Lock()
		if conn.closed != 0 {
			t.Errorf("closed with %d", conn.closed)
		}
		conn.mu.Unlock()
		if err := s.Renew(t.Context(), reader("bob", time.Now().Add(minute), ">"), gone, models.Ack{Type: "ack"}); models.AsError(err).Code != models.CodeNotFound {
			t.Errorf("who is gone renews: %v", err)
		}
	})
}

// TestRenewedForLess: what the new caller may not listen to ends before the ack, in the midst of
// a replay, too, and the rest goes on.
func TestRenewedForLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, defaults())
		past := s.publishTo("a.b", "c")
		client, conn := s.comeAs(reader("ada", time.Time{}, ">"))
		s.subscribe(client, "a.*")
		conn.want("ack")
		conn.stick()
		s.subscribeFrom(since(past[0]), client, "c")
		s.subscribeFrom(models.Start{}, client, ">")
		if err := s.Renew(t.Context(), reader("ada", time.Time{}, "a.>"), client, models.NewAck(models.Request{Action: models.ActionAuth})); err != nil {
			t.Fatal(err)
		}
		conn.open()
		conn.want("ack")
		conn.want("ack")
		var ended []string
		for {
			l := conn.next()
			if l.Type == "ack" {
				break
			}
			if l.Type != "notice" || l.Code != "forbidden" {
				continue // of the replay, from before
			}
			ended = append(ended, l.Topic)
		}
		if len(ended) != 2 || ended[0] != ">" && ended[1] != ">" || ended[0] != "c" && ended[1] != "c" {
			t.Errorf("ended are %q", ended)
		}
		s.publishTo("c")
		conn.wantMessages(s.publishTo("a.b")...)
		if info := client.Info(); len(info.Subscriptions) != 1 || info.Subscriptions[0] != "a.*" {
			t.Errorf("it is subscribed to %q", info.Subscriptions)
		}
	})
}

// TestRenamedMember: who watches sees the member of the old name leave, and one of the new name join.
func TestRenamedMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, defaults())
		watcher, watch := s.comeAs(reader("eve", time.Time{}, ">"))
		if err := s.Subscribe(t.Context(), models.Caller{}, watcher, []models.Pattern{"room.*"}, models.SubscribeOptions{Presence: true}, models.Ack{Type: "ack"}); err != nil {
			t.Fatal(err)
		}
		watch.want("ack")
		client, conn := s.comeAs(reader("", time.Time{}, ">"))
		s.subscribe(client, "room.1", "room.*")
		conn.want("ack")
		changes := func(want ...string) {
			t.Helper()
			for _, w := range want {
				l := watch.next()
				if got := l.Type + " " + l.User; got != w || l.Topic != "room.1" || l.ClientID != client.ID() {
					t.Errorf("got %+v, want %s", l, w)
				}
			}
		}
		changes("join ")
		renew := func(user string) {
			t.Helper()
			if err := s.Renew(t.Context(), reader(user, time.Time{}, ">"), client, models.Ack{Type: "ack"}); err != nil {
				t.Fatal(err)
			}
		}
		renew("ada")
		changes("leave ", "join ada")
		renew("ada")
		s.RemoveClient(client, models.CloseNormal)
		changes("leave ada")
	})
}
