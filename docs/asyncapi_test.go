package docs_test

import (
	"encoding/json"
	"go/ast"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"fanfare/docs"
	"fanfare/models"
)

// asyncAPI is what the tests look at of docs/asyncapi.json.
type asyncAPI struct {
	Channels map[string]struct {
		CloseCodes []closeCode `json:"x-close-codes"`
	} `json:"channels"`
	Components struct {
		Messages map[string]message `json:"messages"`
		Schemas  map[string]schema  `json:"schemas"`
	} `json:"components"`
}

type closeCode struct {
	Code   models.CloseCode `json:"code"`
	Reason string           `json:"reason"`
}

type message struct {
	Name    string `json:"name"`
	Payload struct {
		Ref string `json:"$ref"`
	} `json:"payload"`
	Examples []struct {
		Name    string          `json:"name"`
		Payload json.RawMessage `json:"payload"`
	} `json:"examples"`
}

// isRequest tells a frame of a client from one of the server.
func (m message) isRequest() bool { return strings.HasSuffix(m.Payload.Ref, "Request") }

// schemaName is that of its payload.
func (m message) schemaName() string {
	return strings.TrimPrefix(m.Payload.Ref, "#/components/schemas/")
}

type schema struct {
	Type       any               `json:"type"`
	Enum       []string          `json:"enum"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Const      string            `json:"const"`
	Ref        string            `json:"$ref"`
	AllOf      []schema          `json:"allOf"`
}

func load(t *testing.T) (document asyncAPI) {
	t.Helper()
	if err := json.Unmarshal([]byte(docs.AsyncAPI()), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// serverFrames are the structs of the server's frames, by the schema that describes them. A message is one, too:
// only its encoder is another.
func serverFrames() map[string]reflect.Type {
	frames := []models.ServerFrame{
		models.Welcome{}, models.Ack{}, models.CaughtUp{}, models.Position{}, models.Presence{}, models.PresenceChange{},
		models.Closing{}, models.ErrorFrame{}, models.Notice{}, models.Pong{},
	}
	types := map[string]reflect.Type{"Message": reflect.TypeFor[models.Message]()}
	for _, frame := range frames {
		types[reflect.TypeOf(frame).Name()] = reflect.TypeOf(frame)
	}
	return types
}

// The list above has every frame of models.
func TestServerFramesAreAll(t *testing.T) {
	file := parse(t, "../models/frame.go")
	var declared []string
	ast.Inspect(file, func(node ast.Node) bool {
		if method, ok := node.(*ast.FuncDecl); ok && method.Name.Name == "serverFrame" {
			declared = append(declared, method.Recv.List[0].Type.(*ast.Ident).Name)
		}
		return true
	})
	declared = append(declared, "Message")
	slices.Sort(declared)
	if diff := cmp.Diff(declared, slices.Sorted(maps.Keys(serverFrames()))); diff != "" {
		t.Errorf("frames (-models +tested):\n%s", diff)
	}
}

// What the server sends has the fields of models, and those are always there that models always writes.
func TestServerSchemas(t *testing.T) {
	document := load(t)
	described := make(map[string]bool)
	for _, m := range document.Components.Messages {
		if !m.isRequest() && m.schemaName() != "CloudEvent" { // is a message in another form
			described[m.schemaName()] = true
		}
	}
	frames := serverFrames()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(frames)), slices.Sorted(maps.Keys(described))); diff != "" {
		t.Errorf("frames (-models +document):\n%s", diff)
	}
	frames["Limits"], frames["Member"] = reflect.TypeFor[models.Limits](), reflect.TypeFor[models.Member]()
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			fields := fieldsOf(frame)
			if name == "Message" { // whose encoder writes it
				fields["type"] = field{kind: "string", required: true}
			}
			var got = make(map[string]field)
			s := document.Components.Schemas[name]
			for property, schema := range s.Properties {
				got[property] = field{kind: document.kindOf(schema), required: slices.Contains(s.Required, property)}
			}
			if diff := cmp.Diff(fields, got, cmp.AllowUnexported(field{})); diff != "" {
				t.Errorf("fields (-models +document):\n%s", diff)
			}
		})
	}
}

// field is a field of a frame: its JSON type, and whether it is always there.
type field struct {
	kind     string
	required bool
}

// fieldsOf gives the fields of a struct, by their JSON names; those of an embedded one are its own.
func fieldsOf(frame reflect.Type) map[string]field {
	fields := make(map[string]field)
	for _, f := range reflect.VisibleFields(frame) {
		if tag, ok := f.Tag.Lookup("json"); ok {
			name, options, _ := strings.Cut(tag, ",")
			fields[name] = field{kind: kindOf(f.Type), required: options != "omitzero"}
			if name == "event" { // any JSON value that is an object
				fields[name] = field{kind: "object"}
			}
		}
	}
	return fields
}

// kindOf is the JSON type that a Go type becomes.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[models.ID](), t == reflect.TypeFor[models.Timestamp]():
		return "string" // they are structs that say so themselves
	case t == reflect.TypeFor[jsontext.Value]():
		return "any"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "array of " + kindOf(t.Elem())
	case reflect.Struct:
		return "object"
	default:
		return "integer"
	}
}

// kindOf is the same of a schema.
func (document asyncAPI) kindOf(s schema) string {
	switch name, isRef := strings.CutPrefix(s.Ref, "#/components/schemas/"); {
	case isRef:
		return document.kindOf(document.Components.Schemas[name])
	case len(s.AllOf) == 1:
		return document.kindOf(s.AllOf[0])
	case s.Const != "":
		return "string"
	case s.Items != nil:
		return "array of " + document.kindOf(*s.Items)
	}
	if kind, ok := s.Type.(string); ok {
		return kind
	}
	return "any" // no type, or several
}

// What clients send has the fields of models.Request; each action has its schema, and each knows its own.
func TestRequestSchemas(t *testing.T) {
	document := load(t)
	var actions []string
	described := make(map[string]string)
	for _, m := range document.Components.Messages {
		if !m.isRequest() {
			continue
		}
		s := document.Components.Schemas[m.schemaName()]
		action := s.Properties["action"].Const
		if action != m.Name || !slices.Contains(s.Required, "action") {
			t.Errorf("%s is for the action %q", m.Name, action)
		}
		actions = append(actions, action)
		for property, schema := range s.Properties {
			described[property] = document.kindOf(schema)
		}
	}
	slices.Sort(actions)
	if diff := cmp.Diff(constants(t, "../models/frame.go", "Action"), actions); diff != "" {
		t.Errorf("actions (-models +document):\n%s", diff)
	}
	declared := make(map[string]string)
	for name, field := range fieldsOf(reflect.TypeFor[models.Request]()) {
		declared[name] = field.kind
	}
	if diff := cmp.Diff(declared, described); diff != "" {
		t.Errorf("fields (-models +document):\n%s", diff)
	}
}

// What a connection asks for is in both documents: the parameters of AsyncAPI's bindings are those of OpenAPI.
func TestAsyncAPIParameters(t *testing.T) {
	type binding struct {
		Query struct {
			Properties map[string]any `json:"properties"`
		} `json:"query"`
	}
	var document struct {
		Channels map[string]struct {
			Bindings map[string]binding `json:"bindings"`
		} `json:"channels"`
		Operations map[string]struct {
			Bindings map[string]binding `json:"bindings"`
		} `json:"operations"`
	}
	if err := json.Unmarshal([]byte(docs.AsyncAPI()), &document); err != nil {
		t.Fatal(err)
	}
	var openAPI struct {
		Paths map[string]struct {
			Get struct {
				Parameters []struct{ In, Name string } `json:"parameters"`
			} `json:"get"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(docs.OpenAPI()), &openAPI); err != nil {
		t.Fatal(err)
	}
	for path, binding := range map[string]binding{
		"/ws": document.Channels["ws"].Bindings["ws"], "/events": document.Operations["stream"].Bindings["http"],
	} {
		want := []string{"access_token"} // which all routes of OpenAPI take, as a security scheme or as a parameter
		for _, p := range openAPI.Paths[path].Get.Parameters {
			if p.In == "query" && p.Name != "access_token" {
				want = append(want, p.Name)
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(binding.Query.Properties))); diff != "" || len(want) == 1 {
			t.Errorf("%s (-OpenAPI +AsyncAPI):\n%s", path, diff)
		}
	}
}
