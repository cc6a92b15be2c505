package models

import (
	"encoding/base64"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxEventSize bounds the attributes of an event as JSON text, in bytes.
const MaxEventSize = 8 << 10

// The names of CloudEvents 1.0: attributes that have rules of their own, and the two members of the JSON
// format that are no attributes.
const (
	eventSpecVersion     = "specversion"
	eventID              = "id"
	eventSource          = "source"
	eventType            = "type"
	eventDataContentType = "datacontenttype"
	eventDataSchema      = "dataschema"
	eventSubject         = "subject"
	eventTime            = "time"
	eventData            = "data"
	eventDataBase64      = "data_base64"
)

// The extension attributes that a message has as a CloudEvent, which nobody else can give it.
const (
	eventOwnID    = "fanfareid"
	eventOwnTopic = "fanfaretopic"
	eventOwnFrom  = "fanfarefrom"
)

// eventVersion is the version of CloudEvents that is spoken, the only one.
const eventVersion = "1.0"

// noData is the data of an event that has none, and the value of an attribute that is not set.
const noData = "null"

// EventAttributes are the context attributes of a CloudEvent (https://cloudevents.io, version 1.0), each as
// the JSON format has it: a string, a boolean or an integer.
type EventAttributes map[string]jsontext.Value

// Set sets an attribute that is a text. One that is not UTF-8 is none that Event takes.
func (a EventAttributes) Set(name, text string) {
	a[name] = jsontext.Value("{}")
	if utf8.ValidString(text) {
		a[name] = appendString(nil, text)
	}
}

// Text gives an attribute that is a text, and else nothing.
func (a EventAttributes) Text(name string) string { return stringOf(a[name]) }

// Event checks the attributes and gives them as one compact JSON object: those that every event has first,
// the others in the order of their names. What only a server may say is left out, and so is what is null.
// CodeInvalidRequest.
func (a EventAttributes) Event() (jsontext.Value, error) {
	if a.Text(eventSpecVersion) != eventVersion {
		return nil, errEvent("specversion must be \"1.0\"")
	}
	names := []string{eventSpecVersion, eventID, eventSource, eventType}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if !slices.Contains(names, name) && !slices.Contains([]string{eventOwnID, eventOwnTopic, eventOwnFrom}, name) &&
			string(a[name]) != noData {
			names = append(names, name)
		}
	}
	var event jsontext.Value
	for _, name := range names {
		value, err := checkEventAttribute(name, a[name])
		if err != nil {
			return nil, err
		}
		event = append(event, ',')
		event = append(event, `"`+name+`":`...)
		event = append(event, value...)
	}
	event[0] = '{'
	if event = append(event, '}'); len(event) > MaxEventSize {
		return nil, errEvent("the attributes have at most %d bytes, as JSON text", MaxEventSize)
	}
	return fit(event), nil
}

// checkEventAttribute gives the value as it is written, if it is a good one.
func checkEventAttribute(name string, value jsontext.Value) (jsontext.Value, error) {
	if !isEventAttributeName(name) {
		return nil, errEvent("the name of an attribute has lower-case letters and digits alone, and is not data")
	}
	text := stringOf(value)
	switch name {
	case eventID, eventType, eventSubject:
		if text == "" {
			return nil, errEvent("%s must be a string and not empty", name)
		}
	case eventSource:
		if _, err := url.Parse(text); text == "" || err != nil {
			return nil, errEvent("source must be a URI reference and not empty")
		}
	case eventDataSchema:
		if schema, err := url.Parse(text); err != nil || !schema.IsAbs() {
			return nil, errEvent("dataschema must be an absolute URI")
		}
	case eventTime:
		// Parse takes a comma for the point, too, and an hour of one digit.
		if _, err := time.Parse(time.RFC3339, text); err != nil || text[len("2006-01-02T15")] != ':' || strings.Contains(text, ",") {
			return nil, errEvent("time must be a timestamp of RFC 3339")
		}
	case eventDataContentType:
		if _, _, err := mime.ParseMediaType(text); err != nil || strings.TrimSpace(text) != text {
			return nil, errEvent("datacontenttype must be a media type")
		}
	}
	switch value.Kind() {
	case jsontext.KindString:
		if strings.ContainsFunc(text, unicode.IsControl) {
			return nil, errEvent("attribute %q has a control character", shown(name))
		}
		return appendString(nil, text), nil
	case jsontext.KindTrue, jsontext.KindFalse: // as its first letter says; it need not be JSON
		if text := string(value); text == "true" || text == "false" {
			return value, nil
		}
	case jsontext.KindNumber:
		if n, err := strconv.ParseInt(string(value), 10, 32); err == nil {
			return strconv.AppendInt(nil, n, 10), nil
		}
	}
	return nil, errEvent("attribute %q must be a string, a boolean or an integer of 32 bits", shown(name))
}

// isEventAttributeName tells whether a text is the name of an attribute (CloudEvents, "attribute naming convention").
func isEventAttributeName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && name != eventData
}

// shown is a name as an error quotes it.
func shown(name string) string {
	const maxShown = 64
	return name[:min(len(name), maxShown)]
}

func errEvent(format string, args ...any) *Error {
	return Errorf(CodeInvalidRequest, "the CloudEvent is not valid: "+format, args...)
}

// ParseEvent reads a CloudEvent in the JSON format: its attributes, as EventAttributes.Event gives them, and its data as
// those of a message. Without data these are null, and null is no data. CodeInvalidJSON and CodeInvalidRequest.
func ParseEvent(text []byte) (event, data jsontext.Value, encoding string, err error) {
	var members EventAttributes
	if err := json.Unmarshal(text, &members); err != nil {
		if jsontext.Value(text).IsValid() {
			return nil, nil, "", errEvent("it must be one JSON object")
		}
		return nil, nil, "", Errorf(CodeInvalidJSON, "a CloudEvent must be valid JSON, in UTF-8, without a name twice in one object")
	}
	data, base64Data := members[eventData], members[eventDataBase64]
	delete(members, eventData)
	delete(members, eventDataBase64)
	if event, err = members.Event(); err != nil {
		return nil, nil, "", err
	}
	switch {
	case base64Data == nil || base64Data.Kind() == jsontext.KindNull:
		data, err = eventJSON(data, members.Text(eventDataContentType))
		return event, data, "", err
	case data != nil:
		return nil, nil, "", errEvent("it has data or data_base64, not both")
	}
	bytes, err := base64.StdEncoding.DecodeString(stringOf(base64Data))
	if err != nil || base64Data.Kind() != jsontext.KindString {
		return nil, nil, "", errEvent("data_base64 must be a string of base64")
	}
	return event, BinaryData(bytes), EncodingBase64, nil
}

// ParseEventAttributes reads the attributes of an event, and its data, where the two stand beside each other: as
// ParseEvent does. CodeInvalidJSON and CodeInvalidRequest.
func ParseEventAttributes(text, data jsontext.Value) (_, _ jsontext.Value, err error) {
	var attributes EventAttributes
	if err := json.Unmarshal(text, &attributes); err != nil {
		return nil, nil, errEvent("event must be a JSON object")
	}
	event, err := attributes.Event()
	if err != nil {
		return nil, nil, err
	}
	data, err = eventJSON(data, attributes.Text(eventDataContentType))
	return event, data, err
}

// eventJSON gives the data of an event in the JSON format. A string is a text, unless they are declared as JSON.
func eventJSON(data jsontext.Value, contentType string) (jsontext.Value, error) {
	switch {
	case data == nil:
		return jsontext.Value(noData), nil
	case data.Kind() == jsontext.KindString && !isEventJSON(contentType):
		return TextData([]byte(stringOf(data))), nil
	}
	data, err := CompactJSON(data)
	if err != nil {
		return nil, Errorf(CodeInvalidJSON, "data must be valid JSON, in UTF-8, without a name twice in one object")
	}
	return data, nil
}

// ParseEventBody makes data of the body of an event in binary mode, which it may keep and change. Bytes
// that are not declared as anything are JSON, or else no text that could be read back as it was: base64. An empty
// one is no data. CodeInvalidJSON.
func ParseEventBody(contentType string, body []byte) (data jsontext.Value, encoding string, err error) {
	switch {
	case len(body) == 0:
		return jsontext.Value(noData), "", nil
	case isEventJSON(contentType):
		if data, err := CompactJSON(body); err == nil {
			return data, "", nil
		} else if contentType != "" {
			return nil, "", Errorf(CodeInvalidJSON, "a body that is declared as JSON must be valid JSON, in UTF-8, without a name twice in one object")
		}
	case !IsBinaryType(mediaOf(contentType)) && utf8.Valid(body):
		return TextData(body), "", nil
	}
	return BinaryData(body), EncodingBase64, nil
}

// isEventJSON tells whether data of a content type are JSON, as they are without one.
func isEventJSON(contentType string) bool {
	return contentType == "" || IsJSONType(mediaOf(contentType))
}

// mediaOf is a content type without parameters.
func mediaOf(contentType string) string {
	media, _, _ := mime.ParseMediaType(contentType)
	return media
}

// EventText gives the text that the data of an event stand for, if they are a string and not declared as JSON.
func EventText(event, data jsontext.Value) (text string, ok bool) {
	if data.Kind() != jsontext.KindString {
		return "", false
	}
	var declared struct {
		ContentType string `json:"datacontenttype"`
	}
	if json.Unmarshal(event, &declared) != nil || isEventJSON(declared.ContentType) {
		return "", false
	}
	return stringOf(data), true
}

// UnescapeHeader gives an attribute as a header has it: percent-encoded, and it may be in quotes (CloudEvents, HTTP
// binding, section 3.1.3.2). A % that begins no byte stands for itself.
func UnescapeHeader(value string) string {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(value[1 : n-1])
	}
	if !strings.Contains(value, "%") {
		return value
	}
	text := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] == '%' && i+2 < len(value) {
			if b, err := strconv.ParseUint(value[i+1:i+3], 16, 8); err == nil {
				text = append(text, byte(b))
				i += 2
				continue
			}
		}
		text = append(text, value[i])
	}
	return string(text)
}

// AppendCloudEvent appends the message as a CloudEvent in the JSON format to dst. If it was published as one, it has
// the attributes of then:
//
//	{"specversion":"1.0","id":"4kq9zt2m-1042","source":"/topics/news.eu","type":"fanfare.message",…,"fanfareid":"4kq9zt2m-1042",…}
func (m *Message) AppendCloudEvent(dst []byte) []byte {
	if m.EventText() != nil {
		dst = append(dst, m.Event[:len(m.Event)-1]...)
	} else {
		dst = m.appendOwnEvent(dst)
	}
	dst = append(dst, `,"`+eventOwnID+`":"`...)
	dst = m.ID.append(dst)
	dst = append(dst, `","`+eventOwnTopic+`":`...)
	dst = appendString(dst, string(m.Topic))
	if m.From != "" {
		dst = append(dst, `,"`+eventOwnFrom+`":`...)
		dst = appendString(dst, m.From)
	}
	if m.Attributes != nil && !hasTrace(m.Event) {
		dst = m.appendTrace(dst)
	}
	switch {
	case m.Encoding != "":
		dst = append(append(dst, `,"`+eventDataBase64+`":`...), m.Data...)
	case string(m.Data) != noData:
		dst = append(append(dst, `,"`+eventData+`":`...), m.Data...)
	}
	return append(dst, '}')
}

// appendOwnEvent appends the attributes of a message that was not published as an event, without the end.
func (m *Message) appendOwnEvent(dst []byte) []byte {
	dst = append(dst, `{"specversion":"1.0","id":"`...)
	dst = m.ID.append(dst)
	dst = append(dst, `","source":`...)
	dst = appendString(dst, "/topics/"+url.PathEscape(string(m.Topic)))
	dst = append(dst, `,"type":"fanfare.message","datacontenttype":`...)
	if m.Encoding != "" {
		dst = append(dst, `"application/octet-stream"`...)
	} else {
		dst = append(dst, `"application/json"`...)
	}
	dst = append(dst, `,"time":"`...)
	dst = m.Time.append(dst)
	return append(dst, '"')
}

// stringOf gives the text of a JSON string, and of anything else nothing.
func stringOf(value jsontext.Value) string {
	if value.Kind() != jsontext.KindString {
		return ""
	}
	text, _ := jsontext.AppendUnquote(nil, value) // fails on what is no valid JSON only
	return string(text)
}
