package app_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"syscall"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/rogpeppe/go-internal/testscript"

	"fanfare/models"
)

// TestScripts carries out the scripts in testdata/script, in which fanfare is this binary. Beside the commands of
// testscript there are
//
//	server [KEY=VALUE...]   starts a server, which ends with the script; $FANFARE_URL is where it is
//	down                    ends that server
//	up [KEY=VALUE...]       starts it again, at the same address
//	subscribed TOPIC        waits until a client would get a message to the topic
func TestScripts(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, ".bin")
			if err := os.Mkdir(bin, 0o700); err != nil {
				return err
			}
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv(asProcess, "1")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector each process would end a second later
			env.Values[scriptServerKey{}] = &scriptServer{executable: executable}
			return os.Symlink(executable, filepath.Join(bin, "fanfare"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": func(ts *testscript.TestScript, _ bool, args []string) {
				s := serverOf(ts)
				s.start(ts, quietAddress(ts), args)
				ts.Defer(func() { s.kill() })
			},
			"up": func(ts *testscript.TestScript, _ bool, args []string) {
				serverOf(ts).start(ts, serverOf(ts).address, args)
			},
			"down": func(ts *testscript.TestScript, _ bool, _ []string) { serverOf(ts).stop(ts) },
			"subscribed": func(ts *testscript.TestScript, _ bool, args []string) {
				serverOf(ts).awaitSubscriber(ts, args[0])
			},
		},
	})
}

// scriptServerKey is where a script's server is kept.
type scriptServerKey struct{}

func serverOf(ts *testscript.TestScript) *scriptServer {
	return ts.Value(scriptServerKey{}).(*scriptServer) //nolint:forcetypeassert // Setup has put it there
}

// scriptServer is a server in a process of its own.
type scriptServer struct {
	executable string
	address    string
	process    *exec.Cmd
	ended      chan struct{}
}

// quietAddress finds a port that nobody is given by chance (those begin at 32768 on Linux), so that it is still free
// when the server comes back to it.
func quietAddress(ts *testscript.TestScript) string {
	for {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))) //nolint:gosec // it is no secret
		if err == nil {
			ts.Check(listener.Close())
			return listener.Addr().String()
		}
	}
}

func (s *scriptServer) start(ts *testscript.TestScript, address string, settings []string) {
	s.process = exec.Command(s.executable, "--address", address) //nolint:gosec // itself
	s.process.Dir = ts.MkAbs(".")
	s.process.Env = append(os.Environ(), asProcess+"=1", "FANFARE_LOG_FORMAT=json")
	s.process.Env = append(s.process.Env, settings...)
	stderr, err := s.process.StderrPipe()
	ts.Check(err)
	ts.Check(s.process.Start())
	lines := bufio.NewScanner(stderr)
	for s.address = ""; s.address == ""; {
		var line struct {
			Msg     string `json:"msg"`
			Address string `json:"address"`
		}
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &line) != nil {
			ts.Fatalf("the server did not start: %s", lines.Text())
		}
		if line.Msg == "listening" {
			s.address = line.Address
		}
	}
	ts.Setenv("FANFARE_URL", "http://"+s.address)
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		for lines.Scan() {
		}
		_ = s.process.Wait()
	}()
}

// stop ends it in order.
func (s *scriptServer) stop(ts *testscript.TestScript) {
	ts.Check(s.process.Process.Signal(syscall.SIGTERM))
	<-s.ended
}

func (s *scriptServer) kill() {
	_ = s.process.Process.Kill()
	<-s.ended
}

// awaitSubscriber looks until a client would get a message to the topic.
func (s *scriptServer) awaitSubscriber(ts *testscript.TestScript, topic string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/clients?topic="+url.QueryEscape(topic), nil)
		ts.Check(err)
		if token := ts.Getenv("FANFARE_TOKEN"); token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		ts.Check(err)
		var page models.ClientPage
		err = json.UnmarshalRead(response.Body, &page)
		_ = response.Body.Close()
		ts.Check(err)
		if len(page.Clients) > 0 {
			return
		}
		runtime.Gosched()
	}
}
