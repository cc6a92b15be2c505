package app_test

import (
	stdjson "encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	gorilla "github.com/gorilla/websocket"
)

// requests are what is then broken.
func requests() []string {
	return []string{
		`{"action":"subscribe","topic":"news.*","ref":1}`,
		`{"action":"subscribe","topics":["a","b.>","*.c"],"ref":"two"}`,
		`{"action":"unsubscribe","topic":"news.*","ref":3}`,
		`{"action":"publish","topic":"news.eu","data":{"n":[1,2.5e3,null,true,"ü"]},"ref":4}`,
		`{"action":"publish","topic":"news.eu","message":"\ud834\udd1e"}`,
		`{"action":"ping","ref":5}`,
	}
}

// TestMalformedMessages: each message, whatever it is, has its one answer, and the
// connection stays.
func TestMalformedMessages(t *testing.T) {
	const messages, clients = 10_000, 8
	s := startServer(t)
	seed := newSeed(t)
	var sending sync.WaitGroup
	for i := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // a test
		client := s.dialGorilla()
		sending.Go(func() {
			for range messages / clients {
				kind, message := malformed(random)
				if err := ask(client, kind, message, random.Uint32()); err != nil {
					t.Errorf("client %d, %.200q: %v", i, message, err)
					return
				}
			}
		})
	}
	sending.Wait()
}

// ask sends a message and a ping behind it, and counts the answers before that of the ping.
func ask(client *gorilla.Conn, kind int, message string, number uint32) error {
	if err := client.WriteMessage(kind, []byte(message)); err != nil {
		return err
	}
	ref := fmt.Sprintf(`"end %d"`, number)
	if err := client.WriteMessage(gorilla.TextMessage, []byte(`{"action":"ping","ref":`+ref+`}`)); err != nil {
		return err
	}
	var answers []frame
	for {
		_, text, err := client.ReadMessage()
		if err != nil {
			return err
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		switch {
		case f.Type == "message": // of a subscription that was not malformed
		case f.Type == "pong" && string(f.Ref) == ref:
			if len(answers) == 1 || len(answers) == 0 && wantsNoAnswer(kind, message) {
				return nil
			}
			return fmt.Errorf("the answers were %+v", answers)
		default:
			answers = append(answers, f)
		}
	}
}

// wantsNoAnswer tells whether a message can be a publish that was carried out: without a
// ref that has no answer.
func wantsNoAnswer(kind int, message string) bool {
	var request struct {
		Action string             `json:"action"`
		Ref    stdjson.RawMessage `json:"ref"`
	}
	return kind == gorilla.TextMessage && stdjson.Unmarshal([]byte(message), &request) == nil &&
		request.Action == "publish" && request.Ref == nil
}

// malformed gives what is probably no proper request.
func malformed(random *rand.Rand) (kind int, message string) {
	all := requests()
	valid := all[random.IntN(len(all))]
	switch n := random.IntN(1000); {
	case n < 400:
		return gorilla.TextMessage, strings.ToValidUTF8(mutate(random, valid), "?")
	case n < 650:
		return gorilla.TextMessage, strings.Join(some(random, 1+random.IntN(20), tokens()), "")
	case n < 850:
		topic := strings.Join(some(random, 1+random.IntN(8), topicParts()), "")
		action := []string{"subscribe", "unsubscribe", "publish"}[random.IntN(3)]
		return gorilla.TextMessage, fmt.Sprintf(`{"action":%q,"topic":"%s","ref":1}`, action, topic)
	case n < 940:
		return gorilla.BinaryMessage, mutate(random, valid)
	case n < 996:
		digits := strings.Repeat(strconv.Itoa(random.IntN(10)), 1+random.IntN(2000))
		number := []string{digits, "-" + digits, "1e" + digits, "0." + digits, digits + "." + digits + "e-" + digits}[random.IntN(5)]
		field := []string{"ref", "data", "action", "topic"}[random.IntN(4)]
		return gorilla.TextMessage, strings.Replace(valid, `{`, fmt.Sprintf(`{%q:%s,`, field, number), 1)
	default: // few, since the race detector takes its time over deep recursion
		depth := []int{1, 100, 9_998, 9_999, 10_000, 10_001, 20_000}[random.IntN(7)]
		open, shut := "[", "]"
		if random.IntN(2) == 0 {
			open, shut = `{"a":`, "}"
		}
		nested := strings.Repeat(open, depth) + "1" + strings.Repeat(shut, depth-random.IntN(2))
		return gorilla.TextMessage, `{"action":"publish","topic":"a","ref":1,"data":` + nested + `}`
	}
}

// tokens is what JSON and requests are made of.
func tokens() []string {
	return []string{
		"{", "}", "[", "]", ":", ",", `"`, `\`, " ", "\n", "0", "-", "1e9", "1.", "true", "null", "nul", `""`, `"a"`, `"\ud800"`, "\x00",
		`"action"`, `"subscribe"`, `"publish"`, `"ping"`, `"topic"`, `"topics"`, `"data"`, `"ref"`, `{"action":"ping"`, `"since":"all"`, "\ufeff",
	}
}

// topicParts is what right and wrong topics are made of.
func topicParts() []string {
	return []string{
		"a", "news", "ü", ".", "..", "*", ">", "$", " ", "/", `\\`, `\"`, `\u0000`, `\u0085`, `\u2028`, `\n`, "\u00a0", "\U0001f600",
		strings.Repeat("x", 200), strings.Repeat("a.", 60),
	}
}

// some gives so many of what there is to choose from.
func some(random *rand.Rand, count int, from []string) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = from[random.IntN(len(from))]
	}
	return all
}

// mutate changes a few bytes of a text, and cuts, repeats or loses some.
func mutate(random *rand.Rand, text string) string {
	b := []byte(text)
	for range 1 + random.IntN(4) {
		at := random.IntN(len(b) + 1)
		end := min(len(b), at+1+random.IntN(8))
		switch random.IntN(5) {
		case 0: // one bit
			if at < len(b) {
				b[at] ^= 1 << random.IntN(8)
			}
		case 1: // one byte more
			b = append(b[:at:at], append([]byte{"\x00\xff\\{}\"["[random.IntN(7)]}, b[at:]...)...)
		case 2: // some bytes twice
			b = append(b[:end:end], b[at:]...)
		case 3: // some bytes less
			b = append(b[:at:at], b[end:]...)
		case 4: // the end is missing, now and then
			if random.IntN(4) == 0 {
				b = b[:at]
			}
		}
	}
	return string(b)
}

// newSeed gives a seed, and tells it if the test fails.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64() //nolint:gosec // a test
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed was %d", seed)
		}
	})
	return seed
}

// dialGorilla connects and takes the welcome. The connection ends with the test.
func (s *server) dialGorilla() *gorilla.Conn {
	s.t.Helper()
	client, err := dialGorilla(s.t.Context(), s)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = client.close() })
	s.receive(client)
	return client.(gorillaClient).conn
}
