package transport

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// TestLineFormats has the bytes of the formats that are lines of text.
func TestLineFormats(t *testing.T) {
	id := models.ID{Epoch: "4kq9zt2m", Sequence: 7}
	message := &models.Message{ID: id, Topic: "news.eu", Data: []byte(`{"n":1}`), Time: models.Timestamp{Time: time.UnixMilli(0)}}
	ack := models.NewAck(models.Request{Action: models.ActionSubscribe, Topic: "news.*"})
	recovered := true
	resumed := ack
	resumed.ID, resumed.Recovered = id, &recovered
	const frame = `{"type":"message","id":"4kq9zt2m-7","topic":"news.eu","data":{"n":1},"time":"1970-01-01T00:00:00.000Z"}`
	const acked = `{"type":"ack","action":"subscribe","topic":"news.*"}`
	const ackedResume = `{"type":"ack","action":"subscribe","topic":"news.*","recovered":true,"id":"4kq9zt2m-7"}`
	tests := map[string]struct {
		encode      func(f models.Format) []byte
		sse, ndjson string
	}{
		"message": {
			func(f models.Format) []byte { return f.Message(message) },
			"id: 4kq9zt2m-7\ndata: " + frame + "\n\n", frame + "\n",
		},
		"welcome": {
			func(f models.Format) []byte { return f.Event(models.NewWelcome("1", 25, models.Limits{})) },
			"", "",
		},
		"ack": {
			func(f models.Format) []byte { return f.Event(ack) },
			"event: ack\ndata: " + acked + "\n\n", acked + "\n",
		},
		"ack with a cursor": {
			func(f models.Format) []byte { return f.Event(resumed) },
			"id: 4kq9zt2m-7\nevent: ack\ndata: " + ackedResume + "\n\n", ackedResume + "\n",
		},
		"caught up": {
			func(f models.Format) []byte { return f.Event(models.NewCaughtUp(ack, id)) },
			"id: 4kq9zt2m-7\nevent: caught_up\ndata: {\"type\":\"caught_up\",\"topic\":\"news.*\",\"id\":\"4kq9zt2m-7\"}\n\n",
			"{\"type\":\"caught_up\",\"topic\":\"news.*\",\"id\":\"4kq9zt2m-7\"}\n",
		},
		"position": {
			func(f models.Format) []byte { return f.Event(models.NewPosition(id)) },
			"id: 4kq9zt2m-7\nevent: position\ndata: {\"type\":\"position\",\"id\":\"4kq9zt2m-7\"}\n\n",
			"{\"type\":\"position\",\"id\":\"4kq9zt2m-7\"}\n",
		},
		"notice": {
			func(f models.Format) []byte { return f.Event(models.NewGapNotice("a.>")) },
			"event: notice\ndata: {\"type\":\"notice\",\"code\":\"gap\",\"topic\":\"a.>\"}\n\n",
			"{\"type\":\"notice\",\"code\":\"gap\",\"topic\":\"a.>\"}\n",
		},
		"join": {
			func(f models.Format) []byte { return f.Event(models.NewJoin("a", models.Member{ClientID: "1"})) },
			"event: join\ndata: {\"type\":\"join\",\"topic\":\"a\",\"client_id\":\"1\"}\n\n",
			"{\"type\":\"join\",\"topic\":\"a\",\"client_id\":\"1\"}\n",
		},
		"error": {
			func(f models.Format) []byte {
				return f.Event(models.NewErrorFrame(models.Errorf(models.CodeOverloaded, "too\nmuch"), nil))
			},
			"event: error\ndata: {\"type\":\"error\",\"code\":\"overloaded\",\"message\":\"too\\nmuch\"}\n\n",
			"{\"type\":\"error\",\"code\":\"overloaded\",\"message\":\"too\\nmuch\"}\n",
		},
		"heartbeat": {
			func(f models.Format) []byte { return f.Heartbeat(models.ID{}) },
			": \n\n", "\n",
		},
		"heartbeat with a position": {
			func(f models.Format) []byte { return f.Heartbeat(id) },
			"id: 4kq9zt2m-7\n\n", "{\"type\":\"position\",\"id\":\"4kq9zt2m-7\"}\n",
		},
		"close": {
			func(f models.Format) []byte { return f.Close(models.CloseDisconnected) },
			"event: close\ndata: {\"type\":\"close\",\"code\":4501,\"reason\":\"disconnected by an administrator\"}\n\n",
			"{\"type\":\"close\",\"code\":4501,\"reason\":\"disconnected by an administrator\"}\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.sse, string(tt.encode(SSE{}))); diff != "" {
				t.Errorf("SSE (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.ndjson, string(tt.encode(NDJSON{}))); diff != "" {
				t.Errorf("NDJSON (-want +got):\n%s", diff)
			}
		})
	}
}

// Not all come back at the same moment.
func TestRetryDiffers(t *testing.T) {
	pattern := regexp.MustCompile(`^retry: (\d{3,4})\nevent: close\ndata: {"type":"close","code":1001,"reason":"server going away"}\n\n$`)
	seen := make(map[string]bool)
	for range 100 {
		match := pattern.FindStringSubmatch(string(SSE{}.Close(models.CloseGoingAway)))
		if match == nil {
			t.Fatalf("%q", SSE{}.Close(models.CloseGoingAway))
		}
		seen[match[1]] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d times of 100", len(seen))
	}
}

// TestNothingCanBeForged: whatever stands in a message or an error, it stays in its line.
func TestNothingCanBeForged(t *testing.T) {
	id := models.ID{Epoch: "e", Sequence: 1}
	for name, text := range map[string]string{
		"line feed":             "a\nb",
		"carriage return":       "a\rb",
		"both":                  "a\r\nb",
		"an event":              "\n\nevent: message\ndata: {\"type\":\"message\"}\n\n",
		"an event, by CR alone": "\r\rid: 9\rdata: x\r\r",
		"a line":                "\n{\"type\":\"close\"}\n",
		"line separator":        "a\u2028b\u2029c",
		"next line":             "a\u0085b\vc\fd",
		"NUL":                   "a\x00b",
		"byte order mark":       "\ufeffdata: x",
		"quotes":                `"},"x":{"`,
		"colons":                ": retry: 1",
		"beyond the BMP":        "😀",
	} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			// These may stand in JSON as they are.
			data = []byte(strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(string(data)))
			// No topic has all that. If one had, it would be no way out either.
			message := &models.Message{ID: id, Topic: models.Topic(text), Data: data, From: text, Encoding: text}
			failed := models.NewErrorFrame(models.Errorf(models.CodeInternal, "%s", text), nil)
			acked := models.NewAck(models.Request{Action: models.ActionSubscribe, Topic: text, Topics: []string{text}})
			for what, encode := range map[string]func(models.Format) []byte{
				"message": func(f models.Format) []byte { return f.Message(message) },
				"error":   func(f models.Format) []byte { return f.Event(failed) },
				"ack":     func(f models.Format) []byte { return f.Event(acked) },
			} {
				lines := linesOf(string(encode(SSE{})))
				if len(lines) != 4 || lines[2] != "" || lines[3] != "" || !strings.HasPrefix(lines[1], "data: ") {
					t.Errorf("the event of %s: %q", what, lines)
					continue
				}
				checkLine(t, text, strings.TrimPrefix(lines[1], "data: "))
				lines = linesOf(string(encode(NDJSON{})))
				if len(lines) != 2 || lines[1] != "" {
					t.Errorf("the line of %s: %q", what, lines)
					continue
				}
				checkLine(t, text, lines[0])
			}
		})
	}
}

// linesOf splits at all that a reader of either format may take for a line's end.
func linesOf(text string) []string { return regexp.MustCompile("\r\n|\r|\n").Split(text, -1) }

// checkLine wants a line to be an object that has the text somewhere.
func checkLine(t *testing.T, text, line string) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(line), &object); err != nil {
		t.Errorf("%v: %q", err, line)
	}
	for _, value := range object {
		if value == text {
			return
		}
	}
	t.Errorf("the text is not in %q", line)
}
