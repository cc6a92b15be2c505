package handlers

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fanfare/models"
)

// FuzzRequest: what decodeRequest takes is what another decoder reads, and nothing of the
// frame's memory; what it refuses has an error for the client. The answer can always be
// written, and has the ref if that is a string or a number.
func FuzzRequest(f *testing.F) {
	for _, frame := range []string{
		`{"action":"subscribe","topic":"news.*","ref":1}`,
		`{"action":"subscribe","topics":["a","b.>"],"ref":"two"}`,
		` { "action" : "publish" , "topic" : "ü" , "data" : { "n" : [ 1e400 , null , true ] } } `,
		`{"action":"publish","topic":"a","message":"\ud834\udd1e","ref":-0.0E+1}`,
		`{"action":"ping"}`,
		`{"action":null,"topic":null,"topics":null,"data":null,"message":null,"ref":null}`,
		`{"topics":[],"data":"","ref":""}`,
		`{}`, `null`, `[]`, `1`, `""`, ``, ` `,
		`{"action":`, `{"ref":1`, `{"ref":1,}`, `{"ref":1}x`, `{"ref":01}`,
		`{"ref":1,"ref":2}`, `{"ref":2,"data":{"a":1,"a":2}}`, `{"ref":{},"ref":3}`,
		`{"ref":{}}`, `{"ref":[1]}`, `{"ref":true}`, `{"ref":1,"action":1}`, `{"action":1,"ref":1}`,
		`{"action":"subscribe","topics":["a"],"since":"all","last":10,"presence":true,"overflow":"latest"}`,
		`{"action":"publish","key":"k","data":1}`, `{"last":null,"presence":null,"key":null,"since":null}`,
		`{"last":-1}`, `{"last":1.5}`, `{"last":1e2}`, `{"last":99999999999999999999}`, `{"last":"1"}`, `{"presence":1}`,
		`{"Action":"ping","ref":1}`, `{"actіon":"ping","ref":1}`, `{"until":"all","ref":1}`, `{"":0,"ref":1}`,
		`{"a/b~c":1}`, `{"` + strings.Repeat("x", 100) + `":1}`,
		"{\"ref\":\"\xff\"}", `{"ref":"\ud800"}`, `{"ref":1,"data":"\udc00"}`, "{\"\xff\":1,\"ref\":1}", "{\"ref\":\"\u2028<\"}",
		strings.Repeat("[", 10_001), `{"data":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
		`{"ref":` + strings.Repeat("9", 100) + `}`, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		lent := bytes.Clone(frame)
		request, err := decodeRequest(lent)
		before := encodeRequest(request)
		for i := range lent {
			lent[i] = 0xee
		}
		if after := encodeRequest(request); !bytes.Equal(before, after) {
			t.Errorf("it changes with the frame's memory: %q, %q", before, after)
		}
		checkRequestRef(t, frame, request.Ref)
		if err != nil {
			checkRefusal(t, frame, request.Ref, err)
			return
		}
		models.AppendServerFrame(nil, models.NewAck(request))

		again, err := decodeRequest(bytes.Clone(before))
		if diff := cmp.Diff(request, again); diff != "" || err != nil {
			t.Errorf("%s: %v (-before +after):\n%s", before, err, diff)
		}
		var other struct {
			Action             models.Action
			Topic              string
			Topics             []string
			Overflow, Since    string
			Last               *int
			Presence           bool
			Key                string
			Data, Message, Ref stdjson.RawMessage
		}
		if err := stdjson.Unmarshal(frame, &other); err != nil {
			t.Fatal("encoding/json refuses it:", err)
		}
		want := models.Request{
			Action: other.Action, Topic: other.Topic, Topics: other.Topics,
			Overflow: other.Overflow, Since: other.Since, Last: other.Last, Presence: other.Presence, Key: other.Key,
			Data: jsontext.Value(other.Data), Message: jsontext.Value(other.Message), Ref: models.Ref(other.Ref),
		}
		if diff := cmp.Diff(want, request, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-encoding/json +ours):\n%s", diff)
		}
	})
}

// checkRequestRef: of a frame that is JSON, even with a name twice, the ref is the last
// one, if that is a string or a number. Of any other there is none.
func checkRequestRef(t *testing.T, frame []byte, ref models.Ref) {
	t.Helper()
	var object map[string]stdjson.RawMessage
	var want models.Ref
	if jsontext.Value(frame).IsValid(jsontext.AllowDuplicateNames(true)) && stdjson.Unmarshal(frame, &object) == nil {
		want = models.Ref(object["ref"])
	}
	if len(want) == 0 || !strings.Contains(`"-0123456789`, string(want[:1])) {
		want = nil
	}
	if diff := cmp.Diff(want, ref); diff != "" {
		t.Errorf("the ref (-want +got):\n%s", diff)
	}
}

// checkRefusal holds an error to what every client may rely on.
func checkRefusal(t *testing.T, frame []byte, ref models.Ref, err error) {
	t.Helper()
	const maxMessage = 200
	e, ok := errors.AsType[*models.Error](err)
	if !ok || e.Message == "" || len(e.Message) > maxMessage {
		t.Fatalf("an error that is none for the client: %v", err)
	}
	switch {
	case e.Code == models.CodeInvalidJSON && jsontext.Value(frame).IsValid():
		t.Errorf("it is JSON: %v", err)
	case e.Code != models.CodeInvalidJSON && e.Code != models.CodeInvalidRequest:
		t.Errorf("code %s", e.Code)
	}
	want := models.NewErrorFrame(e, ref)
	var got models.ErrorFrame
	if err := json.Unmarshal(models.AppendServerFrame(nil, want), &got); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the answer (-written +read):\n%s", diff)
	}
}

// encodeRequest makes a frame of a request, out of what it has.
func encodeRequest(request models.Request) []byte {
	text := func(s string) jsontext.Value {
		if s == "" {
			return nil
		}
		quoted, _ := jsontext.AppendQuote(nil, s)
		return quoted
	}
	var topics jsontext.Value
	if request.Topics != nil {
		topics, _ = json.Marshal(request.Topics)
	}
	var last, presence jsontext.Value
	if request.Last != nil {
		last, _ = json.Marshal(*request.Last)
	}
	if request.Presence {
		presence = jsontext.Value("true")
	}
	var members []string
	for _, member := range []struct {
		name  string
		value jsontext.Value
	}{
		{"action", text(string(request.Action))},
		{"topic", text(request.Topic)},
		{"topics", topics},
		{"overflow", text(request.Overflow)},
		{"since", text(request.Since)},
		{"last", last},
		{"presence", presence},
		{"key", text(request.Key)},
		{"data", request.Data},
		{"message", request.Message},
		{"ref", request.Ref},
	} {
		if member.value != nil {
			members = append(members, `"`+member.name+`":`+string(member.value))
		}
	}
	return []byte("{" + strings.Join(members, ",") + "}")
}
