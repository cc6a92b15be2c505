package app

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/app/doctor"
	"fanfare/clients/go"
)

// atTerminal runs a command line for people, with a server that gives the same answer to everything.
func atTerminal(t *testing.T, answer string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	defer fake.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // it is one
	var out, errs bytes.Buffer
	c := command{
		environ: []string{"FANFARE_URL=" + fake.URL}, stdin: strings.NewReader(""), stdout: &out, stderr: &errs, outTerminal: true,
	}
	status = c.run(args)
	return status, out.String(), errs.String()
}

// TestTables: on a terminal lists are tables, whatever names there are.
func TestTables(t *testing.T) {
	const topics = `{"topics":[
		{"name":"news.eu","subscribers":12,"messages":3,"last_time":"2020-01-01T00:00:00.000Z"},
		{"name":"\u202eevil","subscribers":0,"messages":0}]}`
	const clients = `{"clients":[
		{"id":"019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10","user":"ada","transport":"sse","remote_address":"127.0.0.1:1","connected_at":"2020-01-01T00:00:00.000Z","subscriptions":["a","b","c","d","e"],"queued_bytes":2048,"delivered":17},
		{"id":"019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a11","transport":"websocket","remote_address":"127.0.0.1:2","connected_at":"2020-01-01T00:00:00.000Z","subscriptions":[]}],
		"unreachable":["fanfare-2"]}`
	years := distance(time.Until(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)))
	tests := map[string]struct {
		answer, command string
		status          int
		stdout, stderr  string
	}{
		"topics": {answer: topics, command: "topics", stdout: `
TOPIC         SUBSCRIBERS  MESSAGES  LAST
news.eu       12           3         %AGO%
"\u202eevil"  0            0         -
`},
		"no topics": {answer: `{"topics":[]}`, command: "topics", stdout: "\nTOPIC  SUBSCRIBERS  MESSAGES  LAST\n"},
		"clients": {answer: clients, command: "clients", status: exitError, stdout: `
ID                                    USER  TRANSPORT  ADDRESS      CONNECTED  DELIVERED  QUEUED  SUBSCRIPTIONS
019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10  ada   sse        127.0.0.1:1  %AGO%  17         2KiB    a b c and 2 more
019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a11  -     websocket  127.0.0.1:2  %AGO%  0          0B      -
`, stderr: "fanfare: nodes of the cluster did not answer, and what is theirs is missing: fanfare-2\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := atTerminal(t, tt.answer, tt.command)
			if diff := cmp.Diff(strings.ReplaceAll(tt.stdout, "%AGO%", years), "\n"+stdout); status != tt.status || stderr != tt.stderr || diff != "" {
				t.Errorf("status %d, %q (-want +got):\n%s", status, stderr, diff)
			}
			// JSON is there, too.
			if _, stdout, _ := atTerminal(t, tt.answer, tt.command, "--json"); tt.status == 0 && strings.Count(stdout, "{") != strings.Count(tt.answer, `"name"`) {
				t.Errorf("JSON: %s", stdout)
			}
		})
	}
}

// TestFormats: a message is a line for people, JSON, or what was published.
func TestFormats(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 57, 9, 329e6, time.UTC)
	clock := at.Local().Format(time.TimeOnly)
	tests := map[string]struct {
		message         fanfare.Message
		line, raw, json string
	}{
		"text":  {fanfare.Message{Data: []byte(`"hello\n\u001b[31m"`)}, `  news  "hello\n\x1b[31m"`, "hello\n\x1b[31m\n", `"data":"hello\n\u001b[31m",`},
		"JSON":  {fanfare.Message{Data: []byte(`{"n":1.0}`), From: "ada"}, `  news  from ada:  {"n":1.0}`, "{\"n\":1.0}\n", `"data":{"n":1.0},`},
		"null":  {fanfare.Message{Data: []byte(`null`)}, `  news  null`, "null\n", `"data":null,`},
		"bytes": {fanfare.Message{Data: []byte(`"/wA="`), Encoding: "base64"}, `  news  base64 /wA=`, "\xff\x00", `"data":"/wA=",`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.message.ID, tt.message.Topic, tt.message.Time = "e-1", "news", at
			tail := `"time":"2026-11-26T09:57:09.329Z"`
			if tt.message.From != "" {
				tail += `,"from":"ada"`
			}
			if tt.message.Encoding != "" {
				tail += `,"encoding":"base64"`
			}
			for want, format := range map[string]func(fanfare.Message) ([]byte, error){
				clock + tt.line + "\n": formatLine,
				tt.raw:                 formatRaw,
				`{"id":"e-1","topic":"news",` + tt.json + tail + "}\n": formatJSON,
			} {
				if got, err := format(tt.message); err != nil || string(got) != want {
					t.Errorf("%q, %v, want %q", got, err, want)
				}
			}
		})
	}
}

// TestFindings: on a terminal the marks are signs.
func TestFindings(t *testing.T) {
	var out bytes.Buffer
	c := command{stdout: &out, outTerminal: true}
	for _, level := range []doctor.Level{doctor.Good, doctor.Note, doctor.Warning, doctor.Bad} {
		c.reportFinding(doctor.Finding{Level: level, Check: "check", Text: "text"})
	}
	c.reportFinding(doctor.Finding{Level: doctor.Bad, Check: "check", Text: "\x1b[31m", Advice: "advice"})
	const want = `
✓ check       text
· check       text
! check       text
✗ check       text
✗ check       "\x1b[31m"
              advice
`
	if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestProgress: people are told how far it is, now and then, and the line is gone in the end.
func TestProgress(t *testing.T) {
	for name, tt := range map[string]struct {
		command command
		quiet   bool
		told    bool
	}{
		"receipts in a file":     {command{errTerminal: true}, false, true},
		"receipts on a terminal": {command{errTerminal: true, outTerminal: true}, false, false},
		"no receipts":            {command{errTerminal: true, outTerminal: true}, true, true},
		"no terminal":            {command{}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				tt.command.stderr = &out
				p := tt.command.newProgress(tt.quiet)
				for i := range 100 {
					time.Sleep(10 * time.Millisecond)
					p.count(10 * (i + 1))
				}
				p.end()
				want := ""
				if tt.told {
					want = "\r500 messages, 1000/s\x1b[K\r1000 messages, 1000/s\x1b[K\r\x1b[K"
				}
				if diff := cmp.Diff(fmt.Sprintf("%q", want), fmt.Sprintf("%q", out.String())); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
