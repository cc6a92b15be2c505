// Package natstest runs clusters of NATS servers for tests: each server a process of its own, so that it can
// be killed, and stopped without its knowing.
package natstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// variable tells a process that it is a server.
const variable = "FANFARE_NATSTEST"

// settings is what a server is told.
type settings struct {
	Name          string
	Port, Cluster int
	Routes        []int
	Dir           string
	Token         string
}

// Serve makes this process a server that tells nobody of the others, if it was started as one. It must be the first thing in TestMain.
func Serve() {
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		fail(err)
	}
	options := &server.Options{
		ServerName: s.Name,
		Host:       "127.0.0.1",
		Port:       s.Port,
		JetStream:  true,
		StoreDir:   s.Dir,
		NoLog:      true,
		NoSigs:     true,
		// Who connects has to show it.
		Authorization: s.Token,
	}
	if s.Cluster > 0 {
		options.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: s.Cluster, PoolSize: -1, NoAdvertise: true}
		for _, port := range s.Routes {
			options.Routes = append(options.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
		}
	}
	running, err := server.NewServer(options)
	if err != nil {
		fail(err)
	}
	running.Start()
	_, _ = io.Copy(io.Discard, os.Stdin) // it ends with the test, however that ends
	os.Exit(0)
}

func fail(err error) {
	_, _ = fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Cluster is some servers. Its methods are not to be called concurrently.
type Cluster struct {
	t       testing.TB
	servers []*Server
}

// Server is one of a cluster.
type Server struct {
	t        testing.TB
	settings settings
	process  *exec.Cmd
	stdin    io.Closer
}

// Start starts so many servers, whose stores are below a directory of the test's. They may need a while to be
// ready.
func Start(t testing.TB, servers int) *Cluster {
	t.Helper()
	ports := freePorts(t, 2*servers)
	c := &Cluster{t: t}
	for i := range servers {
		s := settings{Name: fmt.Sprint("s", i), Port: ports[i], Dir: filepath.Join(t.TempDir(), "store")}
		if servers > 1 {
			s.Cluster, s.Routes = ports[servers+i], ports[servers:]
		}
		c.servers = append(c.servers, &Server{t: t, settings: s})
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			s.Kill()
		}
	})
	for _, s := range c.servers {
		s.Start()
	}
	return c
}

// Server gives one of them, counted from 0.
func (c *Cluster) Server(i int) *Server { return c.servers[i] }

// Named gives the server of a name.
func (c *Cluster) Named(name string) *Server {
	for _, s := range c.servers {
		if s.settings.Name == name {
			return s
		}
	}
	c.t.Fatalf("there is no server %q", name)
	return nil
}

// URLs is where clients find them.
func (c *Cluster) URLs() (urls []string) {
	for _, s := range c.servers {
		urls = append(urls, s.URL())
	}
	return urls
}

// URL is where clients find it.
func (s *Server) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.settings.Port) }

// Ask has it let in only who shows a token, from its next start on.
func (s *Server) Ask(token string) { s.settings.Token = token }

// Start starts it, on what is in its store.
func (s *Server) Start() {
	s.t.Helper()
	text, err := json.Marshal(s.settings)
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = exec.Command(os.Args[0]) //nolint:gosec // this test
	s.process.Env = append(os.Environ(), variable+"="+string(text))
	s.process.Stderr = os.Stderr
	if s.stdin, err = s.process.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.awaitPort()
}

// awaitPort returns when somebody answers at its port.
func (s *Server) awaitPort() {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.settings.Port))
		if err == nil {
			_ = conn.Close()
			return
		}
	}
	s.t.Fatal("a NATS server does not start")
}

// Kill ends it at once, if it runs.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	_ = s.stdin.Close()
	s.process = nil
}

// Save copies the store of a server that does not run.
func (s *Server) Save() (dir string) {
	s.t.Helper()
	dir = filepath.Join(s.t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(s.settings.Dir)); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// Restore puts a copy in the place of the store of a server that does not run.
func (s *Server) Restore(dir string) {
	s.t.Helper()
	if err := errors.Join(os.RemoveAll(s.settings.Dir), os.CopyFS(s.settings.Dir, os.DirFS(dir))); err != nil {
		s.t.Fatal(err)
	}
}

// freePorts gives ports that nobody listens at.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
