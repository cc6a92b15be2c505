package handlers_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"fanfare/models"
)

// settleError also takes out the message for people, which may change.
func settleError(t *testing.T, frame string) string {
	t.Helper()
	if strings.Contains(frame, mark) {
		t.Errorf("the answer repeats the request: %s", frame)
	}
	return regexp.MustCompile(`("type":"error".*"message":)"(?:[^"\\]|\\.)+"`).ReplaceAllString(settle(frame), `$1"…"`)
}

func failure(code models.Code, ref string) string {
	if ref != "" {
		ref = `,"ref":` + ref
	}
	return `{"type":"error","code":"` + string(code) + `","message":"…"` + ref + `}`
}

// Every conversation is one request and its answer on a connection of its own, which is
// subscribed to "mine" and stays open.
func TestConversation(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.Subscriptions = 4 })
	const ack = `{"type":"ack","action":`
	tests := map[string]struct{ send, want string }{
		"subscribe":                   {`{"action":"subscribe","topic":"a"}`, ack + `"subscribe","topic":"a","id":"ID"}`},
		"subscribe with a ref":        {`{"action":"subscribe","topic":"a.*","ref":1}`, ack + `"subscribe","topic":"a.*","id":"ID","ref":1}`},
		"subscribe to several":        {`{"action":"subscribe","topics":["a","b.>"],"ref":1}`, ack + `"subscribe","topics":["a","b.>"],"id":"ID","ref":1}`},
		"subscribe to a list of one":  {`{"action":"subscribe","topics":["a"]}`, ack + `"subscribe","topics":["a"],"id":"ID"}`},
		"subscribe to one twice":      {`{"action":"subscribe","topics":["a","a"]}`, ack + `"subscribe","topics":["a","a"],"id":"ID"}`},
		"subscribe again":             {`{"action":"subscribe","topic":"mine"}`, ack + `"subscribe","topic":"mine","id":"ID"}`},
		"subscribe to disconnect":     {`{"action":"subscribe","topic":"a","overflow":"disconnect"}`, ack + `"subscribe","topic":"a","id":"ID"}`},
		"subscribe to drop_oldest":    {`{"action":"subscribe","topic":"mine","overflow":"drop_oldest"}`, ack + `"subscribe","topic":"mine","id":"ID"}`},
		"subscribe to latest":         {`{"action":"subscribe","topics":["a","b"],"overflow":"latest"}`, ack + `"subscribe","topics":["a","b"],"id":"ID"}`},
		"unsubscribe":                 {`{"action":"unsubscribe","topic":"mine","ref":"x"}`, ack + `"unsubscribe","topic":"mine","id":"ID","ref":"x"}`},
		"unsubscribe a list":          {`{"action":"unsubscribe","topics":["mine"]}`, ack + `"unsubscribe","topics":["mine"],"id":"ID"}`},
		"publish":                     {`{"action":"publish","topic":"other","data":{"n": 1},"ref":1}`, ack + `"publish","topic":"other","id":"ID","ref":1}`},
		"publish null":                {`{"action":"publish","topic":"other","data":null,"ref":1}`, ack + `"publish","topic":"other","id":"ID","ref":1}`},
		"publish to oneself":          {`{"action":"publish","topic":"mine","data":"hi"}`, `{"type":"message","id":"ID","topic":"mine","data":"hi","time":"TIME"}`},
		"publish message":             {`{"action":"publish","topic":"mine","message":[1, 2]}`, `{"type":"message","id":"ID","topic":"mine","data":[1,2],"time":"TIME"}`},
		"publish null to oneself":     {`{"action":"publish","topic":"mine","data":null}`, `{"type":"message","id":"ID","topic":"mine","data":null,"time":"TIME"}`},
		"numbers and escapes stay":    {`{"action":"publish","topic":"mine","data":[1.0,1E+2,"\u00fc\/",1e999]}`, `{"type":"message","id":"ID","topic":"mine","data":[1.0,1E+2,"\u00fc\/",1e999],"time":"TIME"}`},
		"line breaks go":              {"{\"action\":\"publish\",\n\"topic\":\"mine\",\"data\":{\n\"a\": \"b\\n\"}}", `{"type":"message","id":"ID","topic":"mine","data":{"a":"b\n"},"time":"TIME"}`},
		"markup stays":                {`{"action":"publish","topic":"mine","data":"<b>&"}`, `{"type":"message","id":"ID","topic":"mine","data":"<b>&","time":"TIME"}`},
		"escapes in a topic":          {`{"action":"subscribe","topic":"\u00fc\u002f"}`, ack + `"subscribe","topic":"ü/","id":"ID"}`},
		"empty fields are none":       {`{"action":"unsubscribe","topic":"mine","since":"","last":null,"key":"","presence":false}`, ack + `"unsubscribe","topic":"mine","id":"ID"}`},
		"presence of nobody":          {`{"action":"presence","topic":"a","ref":1}`, `{"type":"presence","topic":"a","clients":[],"ref":1}`},
		"ping":                        {`{"action":"ping"}`, `{"type":"pong"}`},
		"ping with a ref":             {`{"action":"ping","ref":"1"}`, `{"type":"pong","ref":"1"}`},
		"white space around":          {" {\"action\" : \"ping\" } \n", `{"type":"pong"}`},
		"escapes in names and action": {`{"\u0061ction":"p\u0069ng"}`, `{"type":"pong"}`},

		"ref 0":                        {`{"action":"ping","ref":0}`, `{"type":"pong","ref":0}`},
		"ref 1.0":                      {`{"action":"ping","ref":1.0}`, `{"type":"pong","ref":1.0}`},
		"ref 1e3":                      {`{"action":"ping","ref":1e3}`, `{"type":"pong","ref":1e3}`},
		"ref -0":                       {`{"action":"ping","ref":-0}`, `{"type":"pong","ref":-0}`},
		"ref beyond 2^53":              {`{"action":"ping","ref":123456789012345678901}`, `{"type":"pong","ref":123456789012345678901}`},
		"ref ü":                        {`{"action":"ping","ref":"ü"}`, `{"type":"pong","ref":"ü"}`},
		"ref with quotes":              {`{"action":"ping","ref":"\"\\\n<&"}`, `{"type":"pong","ref":"\"\\\n<&"}`},
		"empty ref":                    {`{"action":"ping","ref":""}`, `{"type":"pong","ref":""}`},
		"ref of an error":              {`{"action":"subscribe","topic":"","ref":"x"}`, failure(models.CodeInvalidTopic, `"x"`)},
		"ref null":                     {`{"action":"ping","ref":null}`, failure(models.CodeInvalidRequest, "")},
		"ref true":                     {`{"action":"ping","ref":true}`, failure(models.CodeInvalidRequest, "")},
		"ref object":                   {`{"action":"ping","ref":{}}`, failure(models.CodeInvalidRequest, "")},
		"ref array":                    {`{"action":"publish","topic":"mine","data":1,"ref":[1]}`, failure(models.CodeInvalidRequest, "")},
		"wrong ref and wrong field":    {`{"action":"ping","ref":[1],"` + mark + strings.Repeat("x", 64) + `":1}`, failure(models.CodeInvalidRequest, "")},
		"ref before a wrong field":     {`{"ref":7,"action":5}`, failure(models.CodeInvalidRequest, "7")},
		"ref behind a wrong field":     {`{"action":5,"ref":7}`, failure(models.CodeInvalidRequest, "7")},
		"ref behind unknown field":     {`{"action":"ping","tpoic":1,"ref":"x"}`, failure(models.CodeInvalidRequest, `"x"`)},
		"ref of an unknown action":     {`{"action":"` + mark + `","ref":1.50}`, failure(models.CodeInvalidRequest, `1.50`)},
		"ref of malformed JSON":        {`{"ref":1,"action":`, failure(models.CodeInvalidJSON, "")},
		"ref of JSON with names twice": {`{"ref":1,"ref":2,"action":"ping"}`, failure(models.CodeInvalidJSON, "2")},

		"no JSON":                                 {mark, failure(models.CodeInvalidJSON, "")},
		"empty frame":                             {``, failure(models.CodeInvalidJSON, "")},
		"two objects":                             {`{"action":"ping"}{"action":"ping"}`, failure(models.CodeInvalidJSON, "")},
		"cut off":                                 {`{"action":"ping"`, failure(models.CodeInvalidJSON, "")},
		"comma too many":                          {`{"action":"ping",}`, failure(models.CodeInvalidJSON, "")},
		"half a surrogate pair":                   {`{"action":"ping","ref":"\ud800"}`, failure(models.CodeInvalidJSON, "")},
		"name twice":                              {`{"action":"ping","action":"ping","ref":1}`, failure(models.CodeInvalidJSON, "1")},
		"name twice in data":                      {`{"action":"publish","topic":"mine","data":{"a":1,"a":2}}`, failure(models.CodeInvalidJSON, "")},
		"nested too deep":                         {`{"action":"publish","topic":"mine","data":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, failure(models.CodeInvalidJSON, "")},
		"array":                                   {`[{"action":"ping"}]`, failure(models.CodeInvalidRequest, "")},
		"string":                                  {`"ping"`, failure(models.CodeInvalidRequest, "")},
		"null":                                    {`null`, failure(models.CodeInvalidRequest, "")},
		"empty object":                            {`{}`, failure(models.CodeInvalidRequest, "")},
		"no action":                               {`{"topic":"a","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"action null":                             {`{"action":null,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"action in capitals":                      {`{"action":"PING","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"name in capitals":                        {`{"Action":"ping","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"unknown action":                          {`{"action":"` + mark + `","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"wrong type of action":                    {`{"action":["ping"],"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"wrong type of topic":                     {`{"action":"subscribe","topic":5,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"wrong type of topics":                    {`{"action":"subscribe","topics":"a","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"wrong type in topics":                    {`{"action":"subscribe","topics":["a",1],"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"topic and topics":                        {`{"action":"subscribe","topic":"a","topics":["b"],"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"data in a subscribe":                     {`{"action":"subscribe","topic":"a","data":1,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"unknown overflow":                        {`{"action":"subscribe","topic":"a","overflow":"` + mark + `","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"wrong type of overflow":                  {`{"action":"subscribe","topic":"a","overflow":["latest"],"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"overflow in an unsubscribe":              {`{"action":"unsubscribe","topic":"mine","overflow":"latest","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"overflow in a publish":                   {`{"action":"publish","topic":"mine","data":1,"overflow":"latest","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"since is no id":                          {`{"action":"subscribe","topic":"a","since":"` + mark + `","ref":1}`, failure(models.CodeInvalidCursor, "1")},
		"since is a number":                       {`{"action":"subscribe","topic":"a","since":1,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"since and last":                          {`{"action":"subscribe","topic":"a","since":"all","last":1,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"last 0":                                  {`{"action":"subscribe","topic":"a","last":0,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"last below 0":                            {`{"action":"subscribe","topic":"a","last":-1,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"last too large":                          {`{"action":"subscribe","topic":"a","last":10001,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"last is a fraction":                      {`{"action":"subscribe","topic":"a","last":1.5,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"last is a string":                        {`{"action":"subscribe","topic":"a","last":"1","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"presence is a number":                    {`{"action":"subscribe","topic":"a","presence":1,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"since in an unsubscribe":                 {`{"action":"unsubscribe","topic":"mine","since":"all","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"last in a publish":                       {`{"action":"publish","topic":"mine","data":1,"last":1,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"presence in an unsubscribe":              {`{"action":"unsubscribe","topic":"mine","presence":true,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"key in a subscribe":                      {`{"action":"subscribe","topic":"a","key":"k","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"data in a ping":                          {`{"action":"ping","data":1,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"since in a presence":                     {`{"action":"presence","topic":"a","since":"all","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"presence of a pattern":                   {`{"action":"presence","topic":"` + mark + `.*","ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"presence of nothing":                     {`{"action":"presence","ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"presence of several":                     {`{"action":"presence","topics":["a"],"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"overflow in a ping":                      {`{"action":"ping","overflow":"disconnect","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"publish without data":                    {`{"action":"publish","topic":"mine","ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"publish data and message":                {`{"action":"publish","topic":"mine","data":1,"message":2,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"publish to a list":                       {`{"action":"publish","topics":["mine"],"data":1,"ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"publish to a list, too":                  {`{"action":"publish","topic":"mine","topics":["mine"],"data":1,"ref":1}`, failure(models.CodeInvalidRequest, "1")},
		"error without a ref":                     {`{"action":"publish","topic":"mine"}`, failure(models.CodeInvalidRequest, "")},
		"publish to a pattern":                    {`{"action":"publish","topic":"` + mark + `.*","data":1,"ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"publish to no topic":                     {`{"action":"publish","data":1,"ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"publish to a reserved one":               {`{"action":"publish","topic":"$` + mark + `","data":1,"ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"publish too much":                        {`{"action":"publish","topic":"mine","data":"` + strings.Repeat("a", messageSize-1) + `","ref":1}`, failure(models.CodePayloadTooLarge, "1")},
		"subscribe to nothing":                    {`{"action":"subscribe","ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"subscribe to an empty list":              {`{"action":"subscribe","topics":[],"ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"subscribe to an empty name":              {`{"action":"subscribe","topics":["a",""],"ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"subscribe to half a star":                {`{"action":"subscribe","topic":"` + mark + `*","ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"subscribe to a tail inside":              {`{"action":"subscribe","topic":"a.>.b","ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"subscribe to white space":                {`{"action":"subscribe","topic":"a\u0020b","ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"subscribe to 256 bytes":                  {`{"action":"subscribe","topic":"` + strings.Repeat("a", 256) + `","ref":1}`, failure(models.CodeInvalidTopic, "1")},
		"subscribe to too many":                   {`{"action":"subscribe","topics":["a","b","c","d"],"ref":1}`, failure(models.CodeTooManySubscriptions, "1")},
		"unsubscribe from a stranger":             {`{"action":"unsubscribe","topic":"a","ref":1}`, failure(models.CodeNotFound, "1")},
		"unsubscribe half of a list":              {`{"action":"unsubscribe","topics":["mine","a"],"ref":1}`, failure(models.CodeNotFound, "1")},
		"unsubscribe from a pattern that matches": {`{"action":"unsubscribe","topic":"*","ref":1}`, failure(models.CodeNotFound, "1")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			c.subscribe(t, "mine")
			if diff := cmp.Diff(tt.want, settleError(t, c.ask(t, tt.send))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// The connection is as good as before, and nothing else has come.
			if diff := cmp.Diff(`{"type":"pong","ref":"end"}`, c.ask(t, `{"action":"ping","ref":"end"}`)); diff != "" {
				t.Errorf("afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

// A subscribe may begin in the past: ack, replay, caught_up, and then it is live.
func TestReplay(t *testing.T) {
	s := start(t)
	var ids []string
	for i, topic := range []string{"a", "b", "other", "a", "b"} {
		ids = append(ids, s.publish(t, topic, `"`+strconv.Itoa(i)+`"`))
	}
	for name, tt := range map[string]struct {
		send string
		// members are those of the ack, with the ref.
		members string
		want    []string
	}{
		"since an id":        {`"topic":"a","since":"` + ids[0] + `"`, `"topic":"a","recovered":true,"id":"` + ids[0] + `"`, []string{"3"}},
		"since another's id": {`"topic":"b","since":"` + ids[2] + `"`, `"topic":"b","recovered":true,"id":"` + ids[2] + `"`, []string{"4"}},
		"since all":          {`"topic":"a","since":"all"`, `"topic":"a","recovered":true,"id":"…"`, []string{"0", "3"}},
		"since an old epoch": {`"topic":"a","since":"old-7"`, `"topic":"a","recovered":false,"id":"…"`, []string{"0", "3"}},
		"last of several":    {`"topics":["a","b"],"last":3`, `"topics":["a","b"],"id":"…"`, []string{"1", "3", "4"}},
		"all of several":     {`"topics":["a","b"],"since":"all"`, `"topics":["a","b"],"recovered":true,"id":"…"`, []string{"0", "1", "3", "4"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			got := c.ask(t, `{"action":"subscribe",`+tt.send+`,"ref":1}`)
			if strings.Contains(tt.members, "…") {
				got = regexp.MustCompile(`"id":"[^"]*"`).ReplaceAllString(got, `"id":"…"`)
			}
			if diff := cmp.Diff(`{"type":"ack","action":"subscribe",`+tt.members+`,"ref":1}`, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, data := range tt.want {
				if got := c.next(t); !strings.Contains(got, `"data":"`+data+`"`) {
					t.Errorf("%s, want the data %s", got, data)
				}
			}
			if got := c.next(t); !strings.HasPrefix(got, `{"type":"caught_up","topic`) {
				t.Errorf("behind the replay: %s", got)
			}
			s.publish(t, "other", "x")
			if got := c.ask(t, `{"action":"ping"}`); got != `{"type":"pong"}` {
				t.Errorf("live: %s", got)
			}
		})
	}
}

func TestBinaryFrame(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	if err := c.WriteMessage(websocket.BinaryMessage, []byte(`{"action":"ping","ref":1}`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(failure(models.CodeInvalidRequest, ""), settleError(t, c.next(t))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := c.ask(t, `{"action":"ping"}`); got != `{"type":"pong"}` {
		t.Errorf("afterwards: %s", got)
	}
}

// The policy of a subscribe reaches the broker: the client is stuck, and gets what its
// subscriptions have kept for it.
func TestOverflow(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.OutboxSize = 256 << 10 })
	c := s.dial(t)
	for _, frame := range []string{
		`{"action":"subscribe","topic":"much","overflow":"drop_oldest"}`,
		`{"action":"subscribe","topic":"end"}`,
	} {
		if got := c.ask(t, frame); !strings.Contains(got, `"ack"`) {
			t.Fatalf("got %s", got)
		}
	}
	// More than the outbox, the server's hands and both kernels hold.
	data := strings.Repeat("x", 50_000)
	published := 0
	for dropped := uint64(0); dropped == 0; published++ {
		s.publish(t, "much", data)
		var info struct {
			Dropped uint64 `json:"dropped"`
		}
		s.getInto(t, "/clients/"+c.id, &info)
		dropped = info.Dropped
	}
	s.publish(t, "end", "1")
	messages, told := 0, 0
	for {
		var frame struct {
			Type  string `json:"type"`
			Topic string `json:"topic"`
			Count int    `json:"count"`
		}
		unmarshal(t, c.next(t), &frame)
		if frame.Topic == "end" {
			break
		}
		switch frame.Type {
		case "message":
			messages++
		case "notice":
			told += frame.Count
		}
	}
	if told == 0 || messages+told != published {
		t.Errorf("%d messages and %d told of, %d were published", messages, told, published)
	}
}

// A frame may come in fragments, with control frames between them.
func TestFragments(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	const masked = "\x00\x00\x00\x00"
	ponged := make(chan string, 1)
	c.SetPongHandler(func(payload string) error {
		ponged <- payload
		return nil
	})
	bytes := "\x01\x8a" + masked + `{"action":` + "\x89\x82" + masked + "hi" + "\x00\x80" + masked + "\x80\x87" + masked + `"ping"}`
	if _, err := c.NetConn().Write([]byte(bytes)); err != nil {
		t.Fatal(err)
	}
	if got := c.next(t); got != `{"type":"pong"}` {
		t.Errorf("got %s", got)
	}
	if got := <-ponged; got != "hi" {
		t.Errorf("the ping was answered with %q", got)
	}
}

func TestSubscriptionsAreAllOrNothing(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.Subscriptions = 3 })
	c := s.dial(t)
	c.subscribe(t, "a")
	for name, tt := range map[string]struct {
		send string
		code models.Code
	}{
		"one is bad":             {`{"action":"subscribe","topics":["b","c..d"]}`, models.CodeInvalidTopic},
		"one is too many":        {`{"action":"subscribe","topics":["b","c","d"]}`, models.CodeTooManySubscriptions},
		"one was never there":    {`{"action":"unsubscribe","topics":["a","b"]}`, models.CodeNotFound},
		"one can never be there": {`{"action":"unsubscribe","topics":["a",""]}`, models.CodeInvalidTopic},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(failure(tt.code, ""), settleError(t, c.ask(t, tt.send))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var info clientInfo
			s.getInto(t, "/clients/"+c.id, &info)
			if diff := cmp.Diff([]string{"a"}, info.Subscriptions); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	// There is room for exactly two more, and what is there already takes none.
	if got := c.ask(t, `{"action":"subscribe","topics":["a","b","c","b"]}`); !strings.Contains(got, `"ack"`) {
		t.Errorf("got %s", got)
	}
	if diff := cmp.Diff(failure(models.CodeTooManySubscriptions, ""), settleError(t, c.ask(t, `{"action":"subscribe","topic":"d"}`))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// After an unsubscribe's ack nothing more of the pattern comes; overlapping
// subscriptions bring a message once.
func TestSubscriptionsOverlap(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	c.subscribe(t, "a.b")
	c.subscribe(t, "a.*")
	c.subscribe(t, ">")
	for i, pattern := range []string{"a.b", "a.*", ">"} {
		s.publish(t, "a.b", fmt.Sprint(i))
		if got := c.next(t); !strings.Contains(got, fmt.Sprintf(`"data":%d,`, i)) {
			t.Errorf("got %s", got)
		}
		if got := c.ask(t, `{"action":"unsubscribe","topic":"`+pattern+`"}`); !strings.Contains(got, `"unsubscribe"`) {
			t.Errorf("got %s", got)
		}
	}
	s.publish(t, "a.b", "3")
	if got := c.ask(t, `{"action":"ping"}`); got != `{"type":"pong"}` {
		t.Errorf("got %s", got)
	}
}

func TestConversationOfErrorsOfTheEngine(t *testing.T) {
	var fail error
	s := start(t, func(s *setup) {
		s.engine = brokenEngine{Engine: s.engine, publish: func() error { return fail }}
	})
	c := s.dial(t)
	tests := map[string]struct {
		err  error
		want models.Code
	}{
		"engine unavailable": {models.Errorf(models.CodeEngineUnavailable, "the log is away"), models.CodeEngineUnavailable},
		"overloaded":         {models.Errorf(models.CodeOverloaded, "too much"), models.CodeOverloaded},
		"internal":           {errors.New("disk " + mark), models.CodeInternal},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fail = tt.err
			for _, ref := range []string{"", "1"} {
				frame := `{"action":"publish","topic":"a","data":1}`
				if ref != "" {
					frame = `{"action":"publish","topic":"a","data":1,"ref":1}`
				}
				if diff := cmp.Diff(failure(tt.want, ref), settleError(t, c.ask(t, frame))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			logged := strings.Contains(s.log.String(), `msg=frame_failed error="disk `+mark+`" client_id=`+c.id)
			if tt.want == models.CodeInternal && !logged {
				t.Errorf("not logged:\n%s", s.log)
			}
		})
	}
}
