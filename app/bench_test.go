package app_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"fanfare/app/bench"
	"fanfare/models"
)

// tinyBench is a run that takes little: what it measures means nothing.
func tinyBench() bench.Options {
	o := bench.DefaultOptions()
	o.Clients, o.Topics, o.Rounds = 10, 5, 2
	o.Rate, o.Duration = 200, 50*time.Millisecond
	return o
}

// noExitSleep keeps the race detector from waiting for a second when a process ends.
const noExitSleep = "atexit_sleep_ms=0"

// TestBench carries out every scenario against a running server. The counts in its tables
// are those that the server has.
func TestBench(t *testing.T) {
	t.Setenv(asProcess, "1") // the floor is this binary
	t.Setenv("GORACE", noExitSleep)
	tests := map[string]struct {
		wants []string
		// deliveries is of each message, 0 if the table does not count them.
		deliveries int
		topics     int
		// others is how many messages the table does not count.
		others int
	}{
		"paced":  {[]string{"10 subscribers; ", "in all 20 messages and 200 deliveries"}, 10, 1, 0},
		"burst":  {[]string{"10 subscribers; 8 publishers "}, 10, 1, 0},
		"http":   {[]string{"Topics: 1, a subscriber each; 8 publishers "}, 1, 1, 0},
		"topics": {[]string{"Topics: 5, a subscriber each; 8 publishers "}, 1, 5, 0},
		"replay": {[]string{"100 listeners to one topic", "beside them 10 clients that come back"}, 100, 12, 10_020}, // the past, and the live ones alone
		"idle":   {[]string{"| clients | 10 |", "| one message: clients that got it | 10 |"}, 0, 1, 0},
		"soak":   {[]string{"10 clients, each with a topic of its own"}, 1, 10, 0},
		"storm":  {[]string{"10 clients, 64 connecting at a time"}, 0, 1, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			o := tinyBench()
			o.URL, o.Scenarios = "http://"+s.address, []string{name}
			var out bytes.Buffer
			if err := bench.Run(t.Context(), o, &out); err != nil {
				t.Fatal(err)
			}
			t.Log(out.String())
			squeezed := strings.Join(strings.FieldsFunc(out.String(), func(r rune) bool { return r == ' ' }), " ")
			for _, want := range append(tt.wants, "### "+name, "Fanfare at http://"+s.address) {
				if strings.Count(squeezed, want) != 1 {
					t.Errorf("it does not say, once: %s", want)
				}
			}
			if tt.deliveries > 0 {
				messages, deliveries := counted(t, out.String())
				if published := s.published(tt.topics); messages+tt.others != published || deliveries != messages*tt.deliveries {
					t.Errorf("it counts %d messages and %d deliveries; the server has %d messages", messages, deliveries, published)
				}
			}
			if tt.deliveries == 0 { // no publisher that may still be leaving
				var clients models.ClientPage
				if s.get("/clients", &clients); len(clients.Clients) != 0 {
					t.Errorf("it left %d clients", len(clients.Clients))
				}
			}
		})
	}
}

// counted finds how many messages and deliveries a table is about.
func counted(t *testing.T, table string) (messages, deliveries int) {
	t.Helper()
	match := regexp.MustCompile(`in all ([\d,]+) messages and ([\d,]+) deliveries`).FindStringSubmatch(table)
	if match == nil {
		t.Fatal("it does not count deliveries")
	}
	for i, number := range []*int{&messages, &deliveries} {
		if _, err := fmt.Sscan(strings.ReplaceAll(match[i+1], ",", ""), number); err != nil {
			t.Fatal(err)
		}
	}
	return messages, deliveries
}

// published is how many messages the server's log has had on so many topics of the bench,
// and fails if it had any on others.
func (s *server) published(topics int) (count int) {
	s.t.Helper()
	var page models.TopicPage
	s.get("/topics", &page)
	if len(page.Topics) != topics {
		s.t.Errorf("there are %d topics, want %d", len(page.Topics), topics)
	}
	for _, topic := range page.Topics {
		count = max(count, int(topic.LastID.Sequence)) //nolint:gosec // small
	}
	return count
}

// TestBenchCommand starts servers of its own.
func TestBenchCommand(t *testing.T) {
	tests := map[string]struct {
		args   []string
		status int
		stdout []string
		stderr string
	}{
		"all scenarios": {
			args: []string{"--clients=10", "--topics=5", "--rounds=1", "--rate=200", "--duration=50ms",
				"--commit=abc123", "--server-env=FANFARE_LOG_LEVEL=error"},
			stdout: []string{
				"Fanfare abc123; ", "The server had FANFARE_LOG_LEVEL=error.",
				"### paced", "### burst", "### http", "### topics", "### idle", "### storm",
				"in all 10 messages and 100 deliveries", "10 clients, 64 connecting at a time",
			},
		},
		"a server that does not start": {
			args:   []string{"--scenario=burst", "--server-env=FANFARE_LOG_LEVEL=x"},
			status: 1,
			stdout: []string{"### burst"},
			stderr: "fanfare: scenario burst: the server did not start",
		},
		"a server that is not there": {
			args:   []string{"--scenario=storm", "--url=http://127.0.0.1:1"},
			status: 1,
			stdout: []string{"### storm"},
			stderr: "connection refused",
		},
		"clients that are cut off": {
			// They cannot be heard from that fast.
			args: []string{"--scenario=paced", "--clients=10",
				"--server-env=FANFARE_TRANSPORT_PING_INTERVAL=1ms", "--server-env=FANFARE_TRANSPORT_PONG_TIMEOUT=1ms"},
			status: 1,
			stdout: []string{"### paced"},
			stderr: "fanfare: scenario paced: ",
		},
		"more clients than descriptors": {
			args:   []string{"--scenario=idle", "--clients=100000000"},
			status: 1,
			stdout: []string{"### idle"},
			stderr: "raise it with `ulimit -Hn 100000064`",
		},
		"a scenario that is none": {
			args:   []string{"--scenario=x"},
			status: 2,
			stderr: `--scenario: there is no "x"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			defer cancel()
			process := exec.CommandContext(ctx, os.Args[0], append([]string{"bench"}, tt.args...)...) //nolint:gosec // itself
			process.Env = append(os.Environ(), asProcess+"=1", "GORACE="+noExitSleep)
			var stdout, stderr bytes.Buffer
			process.Stdout, process.Stderr = &stdout, &stderr
			_ = process.Run()
			t.Logf("%s\n%s", stdout.String(), stderr.String())
			if status := process.ProcessState.ExitCode(); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			for _, want := range tt.stdout {
				if strings.Count(stdout.String(), want) != 1 {
					t.Errorf("it does not say, once: %s", want)
				}
			}
			if !strings.Contains(stderr.String(), tt.stderr) || tt.stderr == "" && stderr.Len() > 0 {
				t.Errorf("on stderr it does not say: %q", tt.stderr)
			}
		})
	}
}
