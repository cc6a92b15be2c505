package natsengine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

// startListening opens an engine at whose port other NATS clients can come in.
func startListening(t *testing.T, changes ...func(*natsengine.Options)) rig {
	t.Helper()
	options := embedded(t, t.TempDir(), enginetest.Generous())
	options.Listen, options.Logger = "127.0.0.1:0", quiet()
	for _, change := range changes {
		change(&options)
	}
	r := startRig(t, options, roomy)
	t.Cleanup(r.stop)
	return r
}

// readAll gives all messages that the log has.
func (r rig) readAll() (messages []*models.Message) {
	r.t.Helper()
	end, err := r.Position(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for query := (broker.Query{Patterns: []models.Pattern{">"}, UpTo: end, Limit: 500}); query.After != end; {
		stretch, err := r.Read(r.t.Context(), query)
		if err != nil {
			r.t.Fatal(err)
		}
		messages = append(messages, stretch.Messages...)
		query.After = stretch.Reached
	}
	return messages
}

// checkAll sees whether what is delivered, and what the log has, is what is wanted, times aside.
func (r rig) checkAll(want []models.Message) {
	r.t.Helper()
	for name, got := range map[string][]*models.Message{"delivered": r.sink.Await(len(want)), "read": r.readAll()} {
		var messages []models.Message
		for _, m := range got {
			messages = append(messages, *m)
		}
		last := models.ID{}
		for _, m := range messages {
			if m.ID.Sequence <= last.Sequence {
				r.t.Errorf("%s: %v comes after %v", name, m.ID, last)
			}
			last = m.ID
		}
		if diff := cmp.Diff(want, messages, cmpopts.IgnoreFields(models.Message{}, "ID", "Time"), cmpopts.IgnoreUnexported(models.Message{})); diff != "" {
			r.t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func send(t *testing.T, conn *nats.Conn, m *nats.Msg) (answer *nats.Msg) {
	t.Helper()
	answer, err := conn.RequestMsg(m, patience)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestGuests: what other NATS clients publish is a message, whatever it consists of.
func TestGuests(t *testing.T) {
	r := startListening(t)
	guest := connect(t, r.GuestURL())
	tests := []struct {
		payload        string
		data, encoding string
	}{
		{`{"a": 1}`, `{"a":1}`, ""},
		{"17", "17", ""},
		{"plain", `"plain"`, ""},
		{`{"a":1,"a":2}`, `"{\"a\":1,\"a\":2}"`, ""},
		{"", `""`, ""},
		{"\xff\x00", `"/wA="`, models.EncodingBase64},
	}
	var want []models.Message
	for _, tt := range tests {
		send(t, guest, &nats.Msg{Subject: "fanfare.a.b", Data: []byte(tt.payload), Header: nats.Header{"X-Trace": {"1"}}})
		want = append(want, models.Message{Topic: "a.b", Data: []byte(tt.data), Encoding: tt.encoding})
	}
	r.checkAll(want)
	at := r.readAll()[0].Time
	if since := time.Since(at.Time); since < -time.Second || since > patience {
		t.Errorf("the first has the time %v", at)
	}
}

// TestGuestsListen: other NATS clients hear what is published here.
func TestGuestsListen(t *testing.T) {
	r := startListening(t)
	guest := connect(t, r.GuestURL())
	heard, err := guest.SubscribeSync("fanfare.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := guest.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, draft := range []models.Draft{
		{Topic: "a.b", Data: []byte(`{"n":1}`), From: "ada"},
		{Topic: "a.c", Data: []byte(`"/wA="`), Encoding: models.EncodingBase64},
	} {
		if _, err := r.Publish(t.Context(), draft); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct{ subject, data, from, encoding string }{
		{"fanfare.a.b", `{"n":1}`, "ada", ""}, {"fanfare.a.c", "\xff\x00", "", "base64"},
	} {
		m, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != want.subject || string(m.Data) != want.data || m.Header.Get("Fanfare-From") != want.from ||
			m.Header.Get("Fanfare-Encoding") != want.encoding {
			t.Errorf("heard %s %q %v, want %q", m.Subject, m.Data, m.Header, want)
		}
	}
}

// TestForgery: nobody else gets a name into a message's from, with headers of his own or with those of a message
// that was in order.
func TestForgery(t *testing.T) {
	const window = 200 * time.Millisecond
	r := startListening(t, func(o *natsengine.Options) { o.History.IdempotencyWindow = window })
	guest := connect(t, r.GuestURL())
	listening, err := guest.SubscribeSync("fanfare.a")
	if err != nil {
		t.Fatal(err)
	}
	if err := guest.Flush(); err != nil {
		t.Fatal(err)
	}
	receipt, err := r.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("1"), From: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	genuine, err := listening.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	genuine.Reply = ""
	copied := func(change func(*nats.Msg)) *nats.Msg {
		m := &nats.Msg{Subject: genuine.Subject, Data: slices.Clone(genuine.Data), Header: nats.Header{}}
		for name, values := range genuine.Header {
			m.Header[name] = slices.Clone(values)
		}
		change(m)
		return m
	}
	// Within the window a copy is the duplicate that it is.
	if answer := send(t, guest, copied(func(*nats.Msg) {})); !strings.Contains(string(answer.Data), `"duplicate": true`) &&
		!strings.Contains(string(answer.Data), `"duplicate":true`) && time.Since(receipt.Time.Time) < window {
		t.Errorf("the copy is answered with %s", answer.Data)
	}
	want := []models.Message{{Topic: "a", Data: []byte("1"), From: "ada"}}
	forge := func(m *nats.Msg) {
		t.Helper()
		if answer := send(t, guest, m); isRefusal(answer.Data) || strings.Contains(string(answer.Data), "duplicate") {
			t.Errorf("%v is answered with %s", m.Header, answer.Data)
		}
		topic, _ := strings.CutPrefix(m.Subject, "fanfare.")
		want = append(want, models.Message{Topic: models.Topic(topic), Data: m.Data})
	}
	forge(copied(func(m *nats.Msg) { m.Header.Del("Nats-Msg-Id") }))
	forge(copied(func(m *nats.Msg) { m.Header.Set("Nats-Msg-Id", "another") }))
	forge(copied(func(m *nats.Msg) { m.Header.Del("Nats-Msg-Id"); m.Subject = "fanfare.b" }))
	forge(copied(func(m *nats.Msg) { m.Header.Del("Nats-Msg-Id"); m.Data = []byte("2") }))
	forge(copied(func(m *nats.Msg) { m.Header.Del("Nats-Msg-Id"); m.Header.Set("Fanfare-From", "bob") }))
	forge(&nats.Msg{Subject: "fanfare.a", Data: []byte("3"), Header: nats.Header{"Fanfare-From": {"ada"}}})
	for _, stamp := range []string{"", ".", "x", "1.x", "99999999999999999999.x", "-1.", strings.Repeat("9", 9000)} {
		forge(&nats.Msg{Subject: "fanfare.a", Data: []byte("4"), Header: nats.Header{"Fanfare-From": {"ada"}, "Fanfare-Stamp": {stamp}}})
	}
	// Behind the window a copy is a message of its own, and its stamp too old.
	for end := time.Now().Add(patience); ; {
		answer := send(t, guest, copied(func(*nats.Msg) {}))
		if !strings.Contains(string(answer.Data), "duplicate") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the window does not end")
		}
		time.Sleep(window / 10)
	}
	want = append(want, models.Message{Topic: "a", Data: []byte("1")})
	r.checkAll(want)
}

// TestHostileHeaders: headers of JetStream's on a message of somebody else change nothing, live and in the log, and
// hold nothing up.
func TestHostileHeaders(t *testing.T) {
	r := startListening(t)
	guest := connect(t, r.GuestURL())
	var want []models.Message
	for _, header := range []nats.Header{
		{"Nats-Sequence": {"999999"}},
		{"Nats-Sequence": {"1", "x"}, "Nats-Subject": {"fanfare.other"}, "Nats-Time-Stamp": {"never"}},
		{"nats-sequence": {"1"}, "nats-subject": {"fanfare.other"}},
		{"Nats-Stream": {"OTHER"}, "Nats-Num-Pending": {"0"}, "Nats-Last-Sequence": {"7"}},
		{"Nats-Last-Consumer": {"77"}, "Nats-Consumer-Stalled": {"fanfare.b"}},
		{"Status": {"100"}, "Description": {"Idle Heartbeat"}},
		{"Status": {"100"}, "Description": {"FlowControl Request"}},
		{"Status": {"204"}, "Description": {"EOB"}},
		{"Status": {"404"}},
		{"Status": {"408"}, "Description": {"Request Timeout"}},
		{"Status": {"409"}, "Description": {"Consumer Deleted"}},
		{"Status": {"503"}},
		{"Status": {""}},
	} {
		for _, payload := range []string{"", "1"} {
			if answer := send(t, guest, &nats.Msg{Subject: "fanfare.a", Data: []byte(payload), Header: header}); isRefusal(answer.Data) {
				t.Errorf("%v is answered with %s", header, answer.Data)
			}
			data := payload
			if data == "" {
				data = `""`
			}
			want = append(want, models.Message{Topic: "a", Data: []byte(data)})
		}
	}
	r.checkAll(want)
	r.mustPublish("2")
	r.checkAll(append(want, models.Message{Topic: "a", Data: []byte("2")}))
	if topics, err := r.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 10}}); err != nil || len(topics) != 1 || topics[0].Messages != len(want)+1 {
		t.Errorf("topics %+v, %v", topics, err)
	}
}

// TestSubjectsThatAreNoTopic: they are stored, and nobody hears of them.
func TestSubjectsThatAreNoTopic(t *testing.T) {
	r := startListening(t)
	guest := connect(t, r.GuestURL())
	for _, name := range []string{"$x", "a\u00a0b", "a\u0085", "\xff", strings.Repeat("x", 300), "a\x01b"} {
		send(t, guest, &nats.Msg{Subject: "fanfare." + name, Data: []byte("1")})
	}
	large := "\"" + strings.Repeat("\x01", 512<<10) + "\"" // as JSON text it is six times that
	send(t, guest, &nats.Msg{Subject: "fanfare.a", Data: []byte(large)})
	r.mustPublish("2")
	r.checkAll([]models.Message{{Topic: "a", Data: []byte("2")}})
	if topics, err := r.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 10}}); err != nil || len(topics) != 1 || topics[0].Name != "a" {
		t.Errorf("topics %+v, %v", topics, err)
	}
}

// TestGuestsMayNot: other NATS clients publish and listen to topics, and that is all.
func TestGuestsMayNot(t *testing.T) {
	r := startListening(t)
	position, err := r.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{
		"fanfare-log.purge.a", "fanfare-log.anchor.1", "$JS.API.STREAM.PURGE.FANFARE", "$JS.API.STREAM.DELETE.FANFARE",
		"$JS.API.STREAM.INFO.FANFARE", "$JS.API.STREAM.MSG.GET.FANFARE", "$JS.API.CONSUMER.CREATE.FANFARE.x", "$JS.ACK.x", "$JS.FC.x",
		"_FANFARE.x", "$SYS.REQ.SERVER.PING", "other",
	} {
		t.Run("publish to "+subject, func(t *testing.T) {
			conn, denied := connectDenied(t, r.GuestURL())
			if err := conn.Publish(subject, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			awaitDenial(t, denied)
		})
	}
	for _, subject := range []string{"_FANFARE.>", "_FANFARE.*", ">", "*.x", "fanfare-log.>", "$JS.>", "$SYS.>", "other"} {
		t.Run("subscribe to "+subject, func(t *testing.T) {
			conn, denied := connectDenied(t, r.GuestURL())
			if _, err := conn.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			awaitDenial(t, denied)
		})
	}
	if now, err := r.Position(t.Context()); err != nil || now.Sequence > position.Sequence+1 { // an anchor, perhaps
		t.Errorf("something came into the log: it was at %v, is at %v, %v", position, now, err)
	}
}

func connectDenied(t *testing.T, url string) (*nats.Conn, <-chan error) {
	t.Helper()
	denied := make(chan error, 10)
	return connect(t, url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err })), denied
}

func awaitDenial(t *testing.T, denied <-chan error) {
	t.Helper()
	select {
	case err := <-denied:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it is allowed")
	}
}

// TestTooLarge: what is larger than NATS takes ends the connection of who sends it, and of nobody else.
func TestTooLarge(t *testing.T) {
	r := startListening(t)
	guest, other := connect(t, r.GuestURL()), connect(t, r.GuestURL(), nats.NoReconnect())
	if err := guest.Publish("fanfare.a", make([]byte, guest.MaxPayload()+1)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("it takes too much: %v", err)
	}
	send(t, other, &nats.Msg{Subject: "fanfare.a", Data: []byte("1")})
	r.checkAll([]models.Message{{Topic: "a", Data: []byte("1")}})
}

// TestPassword: without it nobody gets in.
func TestPassword(t *testing.T) {
	r := startListening(t, func(o *natsengine.Options) { o.Password = "open sesame" })
	for name, options := range map[string][]nats.Option{
		"nothing":             nil,
		"another password":    {nats.UserInfo("fanfare", "open")},
		"no password":         {nats.UserInfo("fanfare", "")},
		"another user":        {nats.UserInfo("ada", "open sesame")},
		"the node's own name": {nats.UserInfo("fanfare-node", "open sesame")},
		"its name alone":      {nats.UserInfo("fanfare-node", "")},
		"a token":             {nats.Token("open sesame")},
	} {
		if conn, err := nats.Connect(r.GuestURL(), options...); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				conn.Close()
			}
		}
	}
	guest := connect(t, r.GuestURL(), nats.UserInfo("fanfare", "open sesame"))
	send(t, guest, &nats.Msg{Subject: "fanfare.a", Data: []byte("1")})
	r.checkAll([]models.Message{{Topic: "a", Data: []byte("1")}})
}

// TestKeyThatSomebodyTook: what another NATS client has published with the hash of a key is no message of this key.
func TestKeyThatSomebodyTook(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := single(t, cluster)
	o.History.IdempotencyWindow = 200 * time.Millisecond
	engine := start(t, o)
	conn := connect(t, cluster.URLs()[0])
	heard, err := conn.SubscribeSync(o.Prefix + ".>")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	draft := models.Draft{Topic: "a", Data: []byte("1"), Key: "k", From: "ada"}
	publish(t, engine, draft)
	m, err := heard.NextMsg(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	forged := nats.NewMsg(o.Prefix + ".b")
	forged.Data = []byte("1")
	forged.Header.Set("Nats-Msg-Id", m.Header.Get("Nats-Msg-Id"))
	if _, err := conn.RequestMsg(forged, time.Minute); err != nil {
		t.Fatal(err)
	}
	if receipt, err := engine.Publish(t.Context(), draft); err == nil && receipt.Duplicate {
		t.Errorf("%+v is somebody else's message to another topic", receipt)
	}
}

// TestGuestsPublishEvents: a CloudEvent of another NATS client is one here, in binary and in structured mode, and what is
// no good one is a message all the same.
func TestGuestsPublishEvents(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	const event = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	binary := func(more ...string) nats.Header {
		header := nats.Header{"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"t"}}
		for pair := range slices.Chunk(more, 2) {
			header[pair[0]] = []string{pair[1]}
		}
		return header
	}
	structured := nats.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}
	tests := []struct {
		header         nats.Header
		payload        string
		data, encoding string
		attributes     *models.Attributes
	}{
		{binary(), `{"a": 1}`, `{"a":1}`, "", &models.Attributes{Event: []byte(event + "}")}},
		{binary(), "", "null", "", &models.Attributes{Event: []byte(event + "}")}},
		{binary(), "plain", `"cGxhaW4="`, models.EncodingBase64, &models.Attributes{Event: []byte(event + "}")}},
		{
			binary("Content-Type", "text/plain", "CE-Subject", "\"a%20b\"", "ce-n", "1", "traceparent", trace), "1", `"1"`, "",
			&models.Attributes{TraceParent: trace, Event: []byte(event + `,"datacontenttype":"text/plain","n":"1","subject":"a b"}`)},
		},
		{
			structured, event + `,"n":1,"data":"x"}`, `"x"`, "",
			&models.Attributes{Event: []byte(event + `,"n":1}`)},
		},
		{structured, event + `,"data_base64":"/w=="}`, `"/w=="`, models.EncodingBase64, &models.Attributes{Event: []byte(event + `}`)}},
		{nats.Header{"Traceparent": {trace}, "Tracestate": {"a=1"}}, "1", "1", "", &models.Attributes{TraceParent: trace, TraceState: "a=1"}},
		// These are no good.
		{structured, `{"specversion":"1.0"}`, `{"specversion":"1.0"}`, "", nil},
		{structured, "[", `"["`, "", nil},
		{binary("ce-source", ""), "1", "1", "", nil},
		{binary("ce-a_b", "1"), "1", "1", "", nil},
		{binary("content-type", "application/json"), "{", `"{"`, "", nil},
		{binary("ce-x", strings.Repeat("x", models.MaxEventSize)), "1", "1", "", nil},
		{nats.Header{"ce-id": {"1"}, "ce-": {"1"}, "traceparent": {"00-" + trace}, "tracestate": {"a=1"}}, "1", "1", "", nil},
		{nats.Header{"ce-specversion": {"1.0"}, "Fanfare-Literals": {"id,,x"}}, "1", "1", "", nil},
		{binary("ce-fanfareid", "7", "ce-fanfarefrom", "ada"), "1", "1", "", &models.Attributes{Event: []byte(event + "}")}},
	}
	r := startListening(t)
	guest := connect(t, r.GuestURL())
	var want []models.Message
	for _, tt := range tests {
		send(t, guest, &nats.Msg{Subject: "fanfare.a", Data: []byte(tt.payload), Header: tt.header})
		want = append(want, models.Message{Topic: "a", Data: []byte(tt.data), Encoding: tt.encoding, Attributes: tt.attributes})
	}
	r.checkAll(want)
}

// TestGuestsHearEvents: other NATS clients hear a CloudEvent as its NATS binding has it, in binary mode.
func TestGuestsHearEvents(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	r := startListening(t)
	guest := connect(t, r.GuestURL())
	heard, err := guest.SubscribeSync("fanfare.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := guest.Flush(); err != nil {
		t.Fatal(err)
	}
	event, data, encoding, err := models.ParseEvent([]byte(
		`{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a \"ü%","n":7,"datacontenttype":"text/plain","data":"hello"}`))
	if err != nil {
		t.Fatal(err)
	}
	draft := models.Draft{Topic: "a", Data: data, Encoding: encoding, Attributes: models.NewAttributes(trace, "v=1", event)}
	if _, err := r.Publish(t.Context(), draft); err != nil {
		t.Fatal(err)
	}
	m, err := heard.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"payload": string(m.Data)}
	for name := range m.Header {
		if strings.HasPrefix(name, "ce-") || strings.HasPrefix(name, "trace") || name == "content-type" {
			got[name] = m.Header.Get(name)
		}
	}
	want := map[string]string{
		"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-subject": "a%20%22%C3%BC%25", "ce-n": "7",
		"content-type": "text/plain", "payload": "hello", "traceparent": trace, "tracestate": "v=1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestForgedLiterals: what an attribute is said to be in place of a text is a boolean or an integer, or the message is no
// event: it never becomes a part of the frame as it stands.
func TestForgedLiterals(t *testing.T) {
	r := startListening(t)
	guest := connect(t, r.GuestURL())
	var want []models.Message
	for value, literal := range map[string]string{
		"true": "true", "false": "false", "-7": "-7",
		`true},"from":"ada","x":{"y":1`: "", "true%0A%0Adata: {}": "", "t": "", "falsehood": "", "n": "", "1,2": "", "{}": "", "[": "",
	} {
		send(t, guest, &nats.Msg{Subject: "fanfare.a", Data: []byte("1"), Header: nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"t"}, "ce-x": {value}, "Fanfare-Literals": {"x"},
		}})
		m := models.Message{Topic: "a", Data: []byte("1")}
		if literal != "" {
			m.Attributes = &models.Attributes{Event: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","x":` + literal + `}`)}
		}
		want = append(want, m)
	}
	r.checkAll(want)
}
