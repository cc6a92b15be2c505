package app

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// certificateRest is for how long the files of a certificate are not looked at again.
const certificateRest = 3 * time.Second

// certificate is what the server shows in TLS handshakes. A handshake now and then looks
// whether its files have changed; connections that there are go on with what they have.
type certificate struct {
	// Set by loadCertificate, never changed.
	files  TLSConfig
	logger *slog.Logger

	current atomic.Pointer[tls.Certificate]

	// mu is held by the handshake that looks at the files, while others go on with current.
	mu sync.Mutex
	// looked is when that was last.
	looked time.Time
	// broken tells that the files did not load then, which has been logged.
	broken bool
}

// loadCertificate reads a certificate and its key for the first time. They have to load.
func loadCertificate(files TLSConfig, logger *slog.Logger) (*certificate, error) {
	loaded, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("server.tls: %q and %q: want a certificate and its key, in PEM: %w", files.CertFile, files.KeyFile, err)
	}
	c := &certificate{files: files, logger: logger, looked: time.Now()}
	c.current.Store(&loaded)
	return c, nil
}

// config is the server's side of TLS. There is no HTTP/2.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		GetCertificate: c.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
	}
}

// get is TLS's hook: it gives the certificate for a handshake.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		c.reloadLocked()
	}
	return c.current.Load(), nil
}

// reload looks at the files at once.
func (c *certificate) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = time.Time{}
	c.reloadLocked()
}

// reloadLocked takes over what has changed, if it loads. Between the writing of one file and
// of the other it does not.
func (c *certificate) reloadLocked() {
	if time.Since(c.looked) < certificateRest {
		return
	}
	c.looked = time.Now()
	loaded, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	wasBroken := c.broken
	c.broken = err != nil
	switch {
	case err != nil && !wasBroken:
		c.logger.Warn("certificate_not_replaced", "error", err)
	case err == nil && !slices.EqualFunc(loaded.Certificate, c.current.Load().Certificate, bytes.Equal):
		c.current.Store(&loaded)
		c.logger.Info("certificate_replaced", "expires", loaded.Leaf.NotAfter)
	}
}
