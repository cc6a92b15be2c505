package fanfare_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	fanfare "fanfare/clients/go"
)

// lasting is a token that expires after some time.
func lasting(life time.Duration) string {
	claims := fmt.Sprintf(`{"exp":%d}`, time.Now().Add(life).Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// TestTokenComesFirst: nothing goes along with a token that might be refused.
func TestTokenComesFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		connected := make(chan string, 1)
		client := f.connect(fanfare.Options{Token: "key", OnConnect: func(id string) { connected <- id }})
		published := make(chan error, 1)
		go func() {
			_, err := client.Publish(t.Context(), "a", 1)
			published <- err
		}()
		server := f.next()
		auth := server.receive("auth")
		if auth.Token != "key" {
			t.Errorf("the token is %q", auth.Token)
		}
		time.Sleep(time.Second) // in which the client has all the time to say more
		select {
		case <-connected:
			t.Error("connected before the server knows who it is")
		default:
		}
		server.ack(auth, "")
		if id := <-connected; id != "id" {
			t.Errorf("connected as %q", id)
		}
		server.ack(server.receive("publish"), "e-1")
		if err := <-published; err != nil {
			t.Error(err)
		}
	})
}

// TestRefusedToken: a source is asked once more, in a row; a token that is all there is, is final.
func TestRefusedToken(t *testing.T) {
	refuse := map[string]func(*session, frame){
		"with an error": func(s *session, auth frame) { s.refuse(auth, "unauthorized") },
		"with 4500":     func(s *session, _ frame) { s.close(4500) },
	}
	for name, refuse := range refuse {
		t.Run("a fixed one, "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				client := f.connect(fanfare.Options{Token: "key"})
				server := f.next()
				refuse(server, server.receive("auth"))
				<-client.Done()
				if err := check(client.Err(), fanfare.CodeUnauthorized); err != nil {
					t.Error(err)
				}
			})
		})
		t.Run("from a source, "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				asked := 0
				client := f.connect(fanfare.Options{TokenSource: func(context.Context) (string, error) {
					asked++
					return fmt.Sprint(asked), nil
				}})
				for _, isGood := range []bool{false, true, false, false} {
					server := f.next()
					auth := server.receive("auth")
					if !isGood {
						refuse(server, auth)
						continue
					}
					server.ack(auth, "")
					server.end()
				}
				<-client.Done()
				if err := check(client.Err(), fanfare.CodeUnauthorized); err != nil {
					t.Error(err)
				}
				if asked != 4 {
					t.Errorf("the source was asked %d times", asked)
				}
			})
		})
	}
}

// TestTokenSourceThatFails: it is asked again after a pause, like a server that cannot be reached.
func TestTokenSourceThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		broken := errors.New("the source is broken")
		reasons := make(chan error, 3)
		asked := 0
		f.connect(fanfare.Options{
			TokenSource: func(context.Context) (string, error) {
				if asked++; asked <= cap(reasons) {
					return "", broken
				}
				return "key", nil
			},
			OnDisconnect: func(err error, _ time.Duration) { reasons <- err },
		})
		for range cap(reasons) {
			if err := <-reasons; !errors.Is(err, broken) {
				t.Errorf("the reason is %v", err)
			}
		}
		f.next().receive("auth")
	})
}

// TestTokenSourceThatHangs: it is given up and asked again, for a connection and for a renewal.
func TestTokenSourceThatHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		asked := 0
		f.connect(fanfare.Options{TokenSource: func(ctx context.Context) (string, error) {
			if asked++; asked%2 == 1 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return lasting(100 * time.Second), nil
		}})
		server := f.next()
		for range 2 {
			server.ack(server.afterPings(), "")
		}
		if asked != 4 {
			t.Errorf("the source was asked %d times", asked)
		}
	})
}

// TestRenewal: the new token is sent when three quarters of the old one's life are over, on the same connection, also
// if the source fails at first.
func TestRenewal(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		asked := 0
		f.connect(fanfare.Options{TokenSource: func(context.Context) (string, error) {
			if asked++; asked == 3 {
				return "", errors.New("the source is broken")
			}
			return lasting(100 * time.Second), nil
		}})
		server := f.next()
		server.ack(server.receive("auth"), "")
		begun := time.Now()
		for _, want := range []struct{ from, to time.Duration }{{74 * time.Second, 75 * time.Second}, {150 * time.Second, 152 * time.Second}} {
			auth := server.afterPings()
			if after := time.Since(begun); after < want.from || after > want.to {
				t.Errorf("renewed after %v", after)
			}
			server.ack(auth, "")
		}
		if asked != 4 {
			t.Errorf("the source was asked %d times", asked)
		}
	})
}

// TestTokensThatDoNotLast: a source whose tokens are expired is not asked without end.
func TestTokensThatDoNotLast(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.connect(fanfare.Options{TokenSource: func(context.Context) (string, error) { return lasting(-time.Hour), nil }})
		server := f.next()
		server.ack(server.receive("auth"), "")
		begun := time.Now()
		for range 20 {
			server.ack(server.receive("auth"), "")
		}
		if after := time.Since(begun); after != 10*time.Second {
			t.Errorf("20 tokens in %v", after)
		}
	})
}

// TestRenewalThatComesTooLate: a token that has expired all the same, or that the server does not take for this
// connection, costs a connection, and no more.
func TestRenewalThatComesTooLate(t *testing.T) {
	tests := map[string]func(*session, frame){
		"expired":        func(s *session, _ frame) { s.close(4003) },
		"refused":        func(s *session, auth frame) { s.refuse(auth, "unauthorized") },
		"another user's": func(s *session, auth frame) { s.refuse(auth, "forbidden") },
		"too often":      func(s *session, auth frame) { s.refuse(auth, "rate_limited") },
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				asked := 0
				client := f.connect(fanfare.Options{TokenSource: func(context.Context) (string, error) {
					asked++
					return lasting(4 * time.Second), nil
				}})
				server := f.next()
				server.ack(server.receive("auth"), "")
				subscription := subscribe(client, server, fanfare.SubscribeOptions{Topics: []string{"a"}}, "e-7")
				answer(server, server.receive("auth"))
				server = f.next()
				server.ack(server.receive("auth"), "")
				again := server.receive("subscribe")
				if again.Since != "e-7" {
					t.Errorf("it goes on from %s", again.Since)
				}
				server.recover(again, "e-7", true)
				server.message("a", "e-8")
				if m, err := subscription.Next(t.Context()); err != nil || m.ID != "e-8" {
					t.Errorf("%v %v", m, err)
				}
				if asked != 3 {
					t.Errorf("the source was asked %d times", asked)
				}
			})
		})
	}
}

// TestTokensThatAreNotRenewed: an API key, a token that never expires, and what is no token at all.
func TestTokensThatAreNotRenewed(t *testing.T) {
	tests := map[string]string{
		"an API key":       "ffk_abcdef",
		"no expiry":        "e30.e30.c2ln",
		"no base64":        "a.!.c",
		"no JSON":          "a.YQ.c",
		"a text as expiry": "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":"soon"}`)) + ".c2ln",
		"in 1,000 years":   "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":33000000000}`)) + ".c2ln",
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(_ *testing.T, f *fake) {
				f.connect(fanfare.Options{TokenSource: func(context.Context) (string, error) { return token, nil }})
				server := f.next()
				server.ack(server.receive("auth"), "")
				for begun := time.Now(); time.Since(begun) < 20*time.Hour; {
					server.receive("ping") // and nothing else
					server.send(`{"type":"pong"}`)
				}
			})
		})
	}
}
