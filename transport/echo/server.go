package main

import (
	"context"
	"errors"
	"sync"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"fanfare/models"
	"fanfare/transport"
)

// server makes an echo of every connection.
type server struct {
	// Set by newServer, never changed.
	carrier *transport.Carrier
	app     *fiber.App

	// mu guards the sessions, and closing: once it is set, whoever comes is sent away.
	mu       sync.Mutex
	sessions map[*session]struct{}
	closing  bool
}

func newServer(carrier *transport.Carrier) *server {
	s := &server{carrier: carrier, sessions: make(map[*session]struct{})}
	s.app = fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: handshakeTime})
	s.app.Server().KeepHijackedConns = !carrier.CopiesDescriptors()
	s.app.Get("/*", websocket.New(s.accept))
	return s
}

// accept takes a connection over after its handshake.
func (s *server) accept(ws *websocket.Conn) {
	conn, err := s.carrier.Accept(ws.Conn, "", false)
	if err != nil { // no descriptor is left, or the server is going away
		_ = ws.NetConn().Close()
		return
	}
	c := newSession(s, conn)
	stays := s.add(c)
	conn.Serve(c)
	if !stays {
		c.close(models.CloseGoingAway)
	}
}

// add tells whether the session may stay.
func (s *server) add(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[c] = struct{}{}
	return !s.closing
}

func (s *server) remove(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
}

// shutdown takes no more connections, says goodbye to those that there are, and waits
// until they have gone.
func (s *server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	err := s.app.ShutdownWithContext(ctx)
	var closing sync.WaitGroup
	s.mu.Lock()
	s.closing = true
	for c := range s.sessions {
		closing.Go(func() { c.close(models.CloseGoingAway) })
	}
	s.mu.Unlock()
	closing.Wait()
	return errors.Join(err, s.carrier.Close(ctx))
}
