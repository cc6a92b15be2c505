package models_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// TestTraceContext: what is valid goes along, and the rest counts as absent.
func TestTraceContext(t *testing.T) {
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	event := []byte(minimal + `,"traceparent":"` + trace + `","tracestate":"e=1"}`)
	long := strings.Repeat("x", 256)
	tests := map[string]struct {
		parent, state string
		event         []byte
		want          *models.Attributes
	}{
		"nothing":                      {"", "", nil, nil},
		"both":                         {trace, "a=1,b@c=x y", nil, &models.Attributes{TraceParent: trace, TraceState: "a=1,b@c=x y"}},
		"the parent alone":             {trace, "", nil, &models.Attributes{TraceParent: trace}},
		"the state alone":              {"", "a=1", nil, nil},
		"capitals":                     {strings.ToUpper(trace), "a=1", nil, nil},
		"no trace":                     {"00-" + strings.Repeat("0", 32) + "-" + parent + "-01", "", nil, nil},
		"no parent":                    {"00-" + id + "-" + strings.Repeat("0", 16) + "-01", "", nil, nil},
		"no version":                   {"ff-" + id + "-" + parent + "-01", "", nil, nil},
		"version 0 with more":          {trace + "-x", "", nil, nil},
		"a later version":              {"01" + trace[2:], "", nil, &models.Attributes{TraceParent: "01" + trace[2:]}},
		"a later version with more":    {"01" + trace[2:] + "-x", "", nil, &models.Attributes{TraceParent: "01" + trace[2:] + "-x"}},
		"a later version that runs on": {"01" + trace[2:] + "x", "", nil, nil},
		"a later version of breaks":    {"01" + trace[2:] + "-\r\n", "", nil, nil},
		"a dash elsewhere":             {strings.ReplaceAll(trace, "-01", "_01"), "", nil, nil},
		"cut":                          {trace[:54], "", nil, nil},
		"a later version of spaces":    {"01" + trace[2:] + "- ", "", nil, nil},
		"gaps in the state":            {trace, " a=1 ,, b=2", nil, &models.Attributes{TraceParent: trace, TraceState: "a=1 ,, b=2"}},
		"a state of gaps":              {trace, ",", nil, &models.Attributes{TraceParent: trace}},
		"a key twice":                  {trace, "a=1,a=2", nil, &models.Attributes{TraceParent: trace}},
		"no key":                       {trace, "=1", nil, &models.Attributes{TraceParent: trace}},
		"no value":                     {trace, "a", nil, &models.Attributes{TraceParent: trace}},
		"a key in capitals":            {trace, "A=1", nil, &models.Attributes{TraceParent: trace}},
		"a key of two tenants":         {trace, "a@b@c=1", nil, &models.Attributes{TraceParent: trace}},
		"a value with a break":         {trace, "a=1\n2", nil, &models.Attributes{TraceParent: trace}},
		"a value that is not ASCII":    {trace, "a=ü", nil, &models.Attributes{TraceParent: trace}},
		"a long key":                   {trace, long + "x=1", nil, &models.Attributes{TraceParent: trace}},
		"a long state":                 {trace, "a=" + long + ",b=" + long, nil, &models.Attributes{TraceParent: trace}},
		"33 members":                   {trace, members(33), nil, &models.Attributes{TraceParent: trace}},
		"32 members":                   {trace, members(32), nil, &models.Attributes{TraceParent: trace, TraceState: members(32)}},
		"that of an event":             {"", "", event, &models.Attributes{TraceParent: trace, TraceState: "e=1", Event: event}},
		"another than the event's":     {"01" + trace[2:], "", event, &models.Attributes{TraceParent: "01" + trace[2:], Event: event}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, models.NewAttributes(tt.parent, tt.state, tt.event)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// members is a tracestate of so many members.
func members(n int) string {
	var list []string
	for i := range n {
		list = append(list, "k"+strings.Repeat("y", i)[:min(i, 9)]+string(rune('a'+i%26))+"=1")
	}
	return strings.Join(list, ",")
}
