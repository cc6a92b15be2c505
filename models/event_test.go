package models_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

const (
	minimal = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	trace   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

func TestParseEvent(t *testing.T) {
	tests := map[string]struct{ text, event, data, encoding string }{
		"no data":                 {minimal + `}`, minimal + `}`, "null", ""},
		"null is no data":         {minimal + `,"data":null}`, minimal + `}`, "null", ""},
		"null is no data, either": {minimal + `,"data_base64":null}`, minimal + `}`, "null", ""},
		"JSON":                    {minimal + `, "data" : {"b": 1.0, "a":"\u00fc"} }`, minimal + `}`, `{"b":1.0,"a":"\u00fc"}`, ""},
		"text": {
			minimal + `,"datacontenttype":"text/plain","data":"\u00fc\/"}`,
			minimal + `,"datacontenttype":"text/plain"}`, `"ü/"`, "",
		},
		"a JSON string":     {minimal + `,"data":"\u00fc"}`, minimal + `}`, `"\u00fc"`, ""},
		"bytes":             {minimal + `,"data_base64":"/w=="}`, minimal + `}`, `"/w=="`, models.EncodingBase64},
		"order":             {`{"z":1,"type":"t","b":true,"id":"1","source":"/s","a":"x","specversion":"1.0"}`, minimal + `,"a":"x","b":true,"z":1}`, "null", ""},
		"unset attributes":  {minimal + `,"subject":null,"x":null}`, minimal + `}`, "null", ""},
		"what servers say":  {minimal + `,"fanfareid":"e-1","fanfaretopic":"a","fanfarefrom":"ada"}`, minimal + `}`, "null", ""},
		"escapes":           {minimal + `,"x":"\u00fc\/"}`, minimal + `,"x":"ü/"}`, "null", ""},
		"limits of numbers": {minimal + `,"a":-2147483648,"b":2147483647}`, minimal + `,"a":-2147483648,"b":2147483647}`, "null", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			event, data, encoding, err := models.ParseEvent([]byte(tt.text))
			if diff := cmp.Diff([]string{tt.event, tt.data, tt.encoding}, []string{string(event), string(data), encoding}); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseEventRefuses(t *testing.T) {
	tests := map[string]struct {
		text string
		code models.Code
	}{
		"no JSON":                    {`{`, models.CodeInvalidJSON},
		"a name twice":               {minimal + `,"id":"2"}`, models.CodeInvalidJSON},
		"invalid UTF-8":              {minimal + `,"x":"` + "\xff" + `"}`, models.CodeInvalidJSON},
		"a list":                     {`[]`, models.CodeInvalidRequest},
		"null":                       {`null`, models.CodeInvalidRequest},
		"nothing":                    {`{}`, models.CodeInvalidRequest},
		"another version":            {`{"specversion":"0.3","id":"1","source":"/s","type":"t"}`, models.CodeInvalidRequest},
		"a version that is a number": {`{"specversion":1.0,"id":"1","source":"/s","type":"t"}`, models.CodeInvalidRequest},
		"no id":                      {`{"specversion":"1.0","source":"/s","type":"t"}`, models.CodeInvalidRequest},
		"an id that is a number":     {`{"specversion":"1.0","id":1,"source":"/s","type":"t"}`, models.CodeInvalidRequest},
		"an empty id":                {`{"specversion":"1.0","id":"","source":"/s","type":"t"}`, models.CodeInvalidRequest},
		"no source":                  {`{"specversion":"1.0","id":"1","type":"t"}`, models.CodeInvalidRequest},
		"an empty source":            {`{"specversion":"1.0","id":"1","source":"","type":"t"}`, models.CodeInvalidRequest},
		"a source that is no URI":    {`{"specversion":"1.0","id":"1","source":":","type":"t"}`, models.CodeInvalidRequest},
		"no type":                    {`{"specversion":"1.0","id":"1","source":"/s"}`, models.CodeInvalidRequest},
		"an empty subject":           {minimal + `,"subject":""}`, models.CodeInvalidRequest},
		"a time that is none":        {minimal + `,"time":"today"}`, models.CodeInvalidRequest},
		"a time with a comma":        {minimal + `,"time":"2026-11-23T17:45:01,5Z"}`, models.CodeInvalidRequest},
		"a time with a short hour":   {minimal + `,"time":"2026-11-23T7:45:01Z"}`, models.CodeInvalidRequest},
		"a relative schema":          {minimal + `,"dataschema":"/s"}`, models.CodeInvalidRequest},
		"a content type of spaces":   {minimal + `,"datacontenttype":" text/plain"}`, models.CodeInvalidRequest},
		"a content type of nothing":  {minimal + `,"datacontenttype":""}`, models.CodeInvalidRequest},
		"a name in capitals":         {minimal + `,"Subject":"x"}`, models.CodeInvalidRequest},
		"a name with a dash":         {minimal + `,"a-b":"x"}`, models.CodeInvalidRequest},
		"no name":                    {minimal + `,"":"x"}`, models.CodeInvalidRequest},
		"an object":                  {minimal + `,"x":{}}`, models.CodeInvalidRequest},
		"a fraction":                 {minimal + `,"x":1.5}`, models.CodeInvalidRequest},
		"a large number":             {minimal + `,"x":2147483648}`, models.CodeInvalidRequest},
		"a control character":        {minimal + `,"x":"\u0007"}`, models.CodeInvalidRequest},
		"both kinds of data":         {minimal + `,"data":1,"data_base64":"MQ=="}`, models.CodeInvalidRequest},
		"base64 that is none":        {minimal + `,"data_base64":"MQ"}`, models.CodeInvalidRequest},
		"base64 that is a number":    {minimal + `,"data_base64":1}`, models.CodeInvalidRequest},
		"too much":                   {minimal + `,"x":"` + strings.Repeat("x", models.MaxEventSize) + `"}`, models.CodeInvalidRequest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			event, _, _, err := models.ParseEvent([]byte(tt.text))
			if models.AsError(err).Code != tt.code {
				t.Errorf("%s, %v; want %s", event, err, tt.code)
			}
		})
	}
}

func TestParseEventBody(t *testing.T) {
	tests := map[string]struct{ contentType, body, data, encoding string }{
		"nothing":             {"application/json", "", "null", ""},
		"JSON":                {"application/vnd.x+json; charset=utf-8", `[ 1 ]`, `[1]`, ""},
		"undeclared JSON":     {"", `[ 1 ]`, `[1]`, ""},
		"undeclared text":     {"", `hello`, `"aGVsbG8="`, models.EncodingBase64},
		"text":                {"text/plain", `1`, `"1"`, ""},
		"a form":              {"application/x-www-form-urlencoded", `{"a":1}`, `"{\"a\":1}"`, ""},
		"text that is none":   {"text/plain", "\xff", `"/w=="`, models.EncodingBase64},
		"bytes":               {"application/octet-stream", "1", `"MQ=="`, models.EncodingBase64},
		"an image in text":    {"Image/SVG+xml", "<svg/>", `"PHN2Zy8+"`, models.EncodingBase64},
		"another kind of XML": {"application/xml", "<a/>", `"<a/>"`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			data, encoding, err := models.ParseEventBody(tt.contentType, []byte(tt.body))
			if err != nil || string(data) != tt.data || encoding != tt.encoding {
				t.Errorf("%s, %q, %v; want %s, %q", data, encoding, err, tt.data, tt.encoding)
			}
		})
	}
	if data, _, err := models.ParseEventBody("application/json", []byte("{")); models.AsError(err).Code != models.CodeInvalidJSON {
		t.Errorf("what is declared as JSON and is none: %s, %v", data, err)
	}
}

func TestUnescapeHeader(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "a%20b": "a b", "%C3%BC%f0%9f%98%80": "ü😀", "100%": "100%", "%zz%2": "%zz%2", "%+1": "%+1",
		"%2520": "%20", `"in quotes"`: "in quotes", `"\"a\\"`: `"a\`, `"`: `"`, `a"b`: `a"b`, `"%22"`: `"`,
	} {
		if got := models.UnescapeHeader(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestAppendCloudEvent(t *testing.T) {
	id := models.ID{Epoch: "e", Sequence: 7}
	const own = `"fanfareid":"e-7","fanfaretopic":"a/ü"`
	tests := map[string]struct {
		message models.Message
		want    string
	}{
		"a message": {
			models.Message{Data: []byte(`"hello"`), From: "ada"},
			`{"specversion":"1.0","id":"e-7","source":"/topics/a%2F%C3%BC","type":"fanfare.message","datacontenttype":"application/json",` +
				`"time":"2026-11-23T17:45:01.250Z",` + own + `,"fanfarefrom":"ada","data":"hello"}`,
		},
		"bytes with a trace": {
			models.Message{Data: []byte(`"/w=="`), Encoding: models.EncodingBase64, Attributes: models.NewAttributes(trace, "v=1", nil)},
			`{"specversion":"1.0","id":"e-7","source":"/topics/a%2F%C3%BC","type":"fanfare.message","datacontenttype":"application/octet-stream",` +
				`"time":"2026-11-23T17:45:01.250Z",` + own + `,"traceparent":"` + trace + `","tracestate":"v=1","data_base64":"/w=="}`,
		},
		"an event without data, with a trace": {
			models.Message{Data: []byte("null"), Attributes: models.NewAttributes(trace, "", []byte(minimal+"}"))},
			minimal + `,` + own + `,"traceparent":"` + trace + `"}`,
		},
		"an event with a trace of its own": {
			models.Message{Data: []byte("1"), Attributes: models.NewAttributes(trace, "v=1", []byte(minimal+`,"traceparent":"own"}`))},
			minimal + `,"traceparent":"own",` + own + `,"data":1}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.message.ID, tt.message.Topic, tt.message.Time = id, "a/ü", moment()
			if diff := cmp.Diff("before:"+tt.want, string(tt.message.AppendCloudEvent([]byte("before:")))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParseEvent: an event that is read, and written as it is delivered, is the same when it is read again.
func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{
		minimal + `}`, minimal + `,"data":{"a":[1,null]}}`, minimal + `,"datacontenttype":"text/plain","data":"ü"}`, minimal + `,"data_base64":"/w=="}`,
		minimal + `,"a":true,"b":-1,"c":"\"","time":"2026-11-23T17:45:01Z","traceparent":"` + trace + `"}`, minimal + `,"data":"\ud83d\ude00"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		event, data, encoding, err := models.ParseEvent(text)
		if err != nil {
			return
		}
		m := models.Message{ID: models.ID{Epoch: "e", Sequence: 1}, Topic: "a", Data: data, Encoding: encoding, Attributes: models.NewAttributes("", "", event)}
		again, dataAgain, encodingAgain, err := models.ParseEvent(m.AppendCloudEvent(nil))
		if diff := cmp.Diff([]string{string(event), string(data), encoding}, []string{string(again), string(dataAgain), encodingAgain}); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}
