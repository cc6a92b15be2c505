package app

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"fanfare/clients/go"
	"fanfare/models"
)

// printed is a message as sub writes it: that of the server's frame.
type printed struct {
	ID       string           `json:"id"`
	Topic    string           `json:"topic"`
	Data     jsontext.Value   `json:"data"`
	Time     models.Timestamp `json:"time"`
	From     string           `json:"from,omitzero"`
	Encoding string           `json:"encoding,omitzero"`
	models.Attributes
}

// printer gives what writes messages to stdout, each at once.
func (c command) printer(o subOptions) func(fanfare.Message) error {
	format := formatJSON
	switch {
	case o.raw:
		format = formatRaw
	case c.outTerminal && !o.asJSON:
		format = formatLine
	}
	return func(m fanfare.Message) error {
		text, err := format(m)
		if err != nil {
			return err
		}
		_, err = c.stdout.Write(text)
		return err
	}
}

func formatJSON(m fanfare.Message) ([]byte, error) {
	text, err := json.Marshal(printed{
		ID: m.ID, Topic: m.Topic, Data: jsontext.Value(m.Data), Time: models.Timestamp{Time: m.Time}, From: m.From, Encoding: m.Encoding,
		Attributes: models.Attributes{TraceParent: m.TraceParent, TraceState: m.TraceState, Event: jsontext.Value(m.Event)},
	})
	return append(text, '\n'), err
}

// formatRaw gives what was published.
func formatRaw(m fanfare.Message) ([]byte, error) {
	if m.Encoding != "" {
		return m.Bytes()
	}
	return append([]byte(textOf(m)), '\n'), nil
}

// formatLine is for people. What others wrote cannot move their cursor.
func formatLine(m fanfare.Message) ([]byte, error) {
	columns := []string{m.Time.Local().Format(time.TimeOnly), m.Topic}
	if m.From != "" {
		columns = append(columns, "from "+m.From+":")
	}
	text := textOf(m)
	if m.Encoding != "" {
		text = m.Encoding + " " + text
	}
	columns = append(columns, text)
	for i := range columns {
		columns[i] = plain(columns[i])
	}
	return []byte(strings.Join(columns, "  ") + "\n"), nil
}

// textOf gives a text without its quotes, and other JSON as it is.
func textOf(m fanfare.Message) string {
	if text, err := jsontext.AppendUnquote(nil, m.Data); err == nil {
		return string(text)
	}
	return string(m.Data)
}
