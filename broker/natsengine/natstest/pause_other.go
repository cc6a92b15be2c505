//go:build !unix

package natstest

// Pause would stop it where it is.
func (s *Server) Pause() {
	s.t.Helper()
	s.t.Fatal("no process can be paused here")
}

// Resume would end Pause.
func (s *Server) Resume() { s.Pause() }
