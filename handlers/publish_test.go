package handlers_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

const curlDefault = "application/x-www-form-urlencoded"

func TestBodyBecomesData(t *testing.T) {
	s := start(t)
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	tests := map[string]struct {
		contentType, body string
		data, encoding    string
	}{
		"curl -d hello":             {curlDefault, `hello`, `"hello"`, ""},
		"curl -d 5":                 {curlDefault, `5`, `5`, ""},
		"curl -d true":              {curlDefault, `true`, `true`, ""},
		"curl -d null":              {curlDefault, `null`, `null`, ""},
		"curl -d a=1&b=2":           {curlDefault, `a=1&b=2`, `"a=1&b=2"`, ""},
		"curl -d a JSON string":     {curlDefault, `"hello"`, `"hello"`, ""},
		"curl -d half of JSON":      {curlDefault, `{"n":`, `"{\"n\":"`, ""},
		"curl -d with a charset":    {curlDefault + "; charset=utf-8", `{"n":1}`, `{"n":1}`, ""},
		"curl --json":               {"application/json", `{"n": 1}`, `{"n":1}`, ""},
		"no content type, JSON":     {"", `{"n":1}`, `{"n":1}`, ""},
		"no content type, text":     {"", `hello world`, `"hello world"`, ""},
		"no content type, binary":   {"", "\xff\xfe", `"//4="`, models.EncodingBase64},
		"JSON with a name twice":    {"", `{"a":1,"a":2}`, `"{\"a\":1,\"a\":2}"`, ""},
		"white space alone":         {"", " \n", `" \n"`, ""},
		"charset":                   {"application/json; charset=utf-8", `[1]`, `[1]`, ""},
		"charset in quotes":         {`application/json;charset="utf-8"`, `[1]`, `[1]`, ""},
		"capitals":                  {"Application/JSON", `[1]`, `[1]`, ""},
		"cut parameter":             {"application/json; charset", `[1]`, `[1]`, ""},
		"empty parameter":           {"application/json;", `[1]`, `[1]`, ""},
		"JSON of a vendor":          {"application/vnd.example+json", `[1]`, `[1]`, ""},
		"JSON by its old name":      {"text/json", `[1]`, `[1]`, ""},
		"text":                      {"text/plain", `hello`, `"hello"`, ""},
		"text that looks like JSON": {"text/plain", `5`, `"5"`, ""},
		"text with a charset":       {"text/plain; charset=utf-8", `{"n":1}`, `"{\"n\":1}"`, ""},
		"text that is none":         {"text/plain", "\xff", `"/w=="`, models.EncodingBase64},
		"XML":                       {"application/xml", `<a/>`, `"<a/>"`, ""},
		"malformed content type":    {"/;/", `5`, `"5"`, ""},
		"foreign content type":      {"hello", `5`, `"5"`, ""},
		"octets":                    {"application/octet-stream", `hello`, `"aGVsbG8="`, models.EncodingBase64},
		"octets that are JSON":      {"application/octet-stream", `5`, `"NQ=="`, models.EncodingBase64},
		"image":                     {"image/png", "\x89PNG\r\n", `"iVBORw0K"`, models.EncodingBase64},
		"image in text":             {"image/svg+xml", `<svg/>`, `"PHN2Zy8+"`, models.EncodingBase64},
		"audio":                     {"audio/ogg", `OggS`, `"T2dnUw=="`, models.EncodingBase64},
		"video":                     {"VIDEO/mp4", `ftyp`, `"ZnR5cA=="`, models.EncodingBase64},
		"form with parts": {
			"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n",
			`"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n"`, "",
		},
		"form with parts that is none": {"multipart/form-data; boundary=x", "hello", `"hello"`, ""},
		"white space around":           {"", "\t {\"a\" : [ 1 ,\r\n2 ] }\n", `{"a":[1,2]}`, ""},
		"white space in strings":       {"", `" a  b "`, `" a  b "`, ""},
		"line breaks between tokens":   {"", "{\n\"a\":\n\"b\\nc\"\n}", `{"a":"b\nc"}`, ""},
		"numbers stay as they are":     {"", `[1.0,1e3,1E+2,-0,0.10,123456789012345678901234567890,1e999]`, `[1.0,1e3,1E+2,-0,0.10,123456789012345678901234567890,1e999]`, ""},
		"escapes stay as they are":     {"", `"\u00fc\/\u2028\ud83d\ude00"`, `"\u00fc\/\u2028\ud83d\ude00"`, ""},
		"order of names stays":         {"", `{"b":1,"a":2}`, `{"b":1,"a":2}`, ""},
		"nested deep":                  {"", deep, deep, ""},
		"markup":                       {"", `"<script>&"`, `"<script>&"`, ""},
		"text with quotes and breaks":  {"text/plain", "a\"b\\c\r\n\t\x00\u2028d", `"a\"b\\c\r\n\t\u0000` + "\u2028" + `d"`, ""},
		"text beyond the BMP":          {"text/plain", "ü😀", `"ü😀"`, ""},
		"byte order mark":              {"", "\ufeff{}", "\"\ufeff{}\"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if tt.contentType != "" {
				headers = []string{"Content-Type", tt.contentType}
			}
			id := s.publish(t, "a", tt.body, headers...)
			messages := s.retained(t, "a")
			m := messages[len(messages)-1]
			type result struct{ ID, Data, Encoding string }
			if diff := cmp.Diff(result{id, tt.data, tt.encoding}, result{m.ID.String(), string(m.Data), m.Encoding}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestIdentityIsNoEncoding(t *testing.T) {
	s := start(t)
	for _, encoding := range []string{"identity", "Identity", ""} {
		s.publish(t, "a", "x", "Content-Encoding", encoding)
	}
}

// What a subscriber gets is what the publisher was told.
func TestPublishReachesSubscriber(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	c.subscribe(t, "news.*")
	for body, data := range map[string]string{"hello": `"hello"`, `{"n": 1}`: `{"n":1}`} {
		a := s.do(t, "POST", "/topics/news.eu/publish", body)
		if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
			t.Fatalf("%d %v %s", a.status, a.header, a.body)
		}
		var receipt struct {
			ID          string `json:"id"`
			Topic       string `json:"topic"`
			Time        string `json:"time"`
			Duplicate   bool   `json:"duplicate"`
			Subscribers int    `json:"subscribers"`
		}
		unmarshal(t, a.body, &receipt)
		if receipt.Topic != "news.eu" || receipt.Subscribers != 1 || receipt.Duplicate {
			t.Errorf("%+v", receipt)
		}
		want := `{"type":"message","id":"` + receipt.ID + `","topic":"news.eu","data":` + data + `,"time":"` + receipt.Time + `"}`
		if diff := cmp.Diff(want, c.next(t)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	s.publish(t, "news.eu", "\xff", "Content-Type", "application/octet-stream")
	if got := c.next(t); !strings.Contains(got, `"data":"/w=="`) || !strings.HasSuffix(got, `,"encoding":"base64"}`) {
		t.Errorf("binary: %s", got)
	}
}
