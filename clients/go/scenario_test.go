package fanfare_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// scenario is one of clients/testdata/scenarios.json, which clients/README.md explains.
type scenario struct {
	Name   string
	Server struct {
		Durable bool
		Auth    bool
		Env     map[string]string
	}
	WebSocket bool `json:"websocket"`
	Steps     []step
}

// step has one field that is not nil.
type step struct {
	Connect     *connectStep
	Subscribe   *subscribeStep
	Unsubscribe *unsubscribeStep
	Publish     *publishStep
	Receive     *receiveStep
	Newest      *newestStep
	Lost        *lostStep
	Storm       *stormStep
	Cut         *cutStep
	Block       *blockStep
	Unblock     *unblockStep
	Freeze      *freezeStep
	Thaw        *thawStep
	Restart     *restartStep
	Purge       *purgeStep
	Disconnect  *disconnectStep
	Connections *connectionsStep
	Tokens      *tokensStep
	Closes      *closesStep
	Ends        *endsStep
}

// doer carries a step out. An error is what went wrong.
type doer interface {
	do(ctx context.Context, w *world) error
}

// TestScenarios lives through all that this client and the one for JavaScript have in common.
func TestScenarios(t *testing.T) {
	text, err := os.ReadFile("../testdata/scenarios.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a step that is not understood must not be passed over
	var scenarios []scenario
	if err := decoder.Decode(&scenarios); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			s.run(t)
		})
	}
}

func (s scenario) run(t *testing.T) {
	w := newWorld(t, s)
	for i, step := range s.Steps {
		name, what := step.only(t)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := what.do(ctx, w)
		cancel()
		if err != nil {
			t.Fatalf("step %d, %s: %v", i+1, name, err)
		}
	}
	w.close()
}

// only gives the field that is not nil, and its name.
func (s step) only(t *testing.T) (name string, what doer) {
	t.Helper()
	fields := reflect.ValueOf(s)
	for i := range fields.NumField() {
		if field := fields.Field(i); !field.IsNil() {
			if what != nil {
				t.Fatalf("%s and %s in one step", name, fields.Type().Field(i).Name)
			}
			name, what = fields.Type().Field(i).Name, field.Interface().(doer)
		}
	}
	if what == nil {
		t.Fatal("a step without anything to do")
	}
	return name, what
}
