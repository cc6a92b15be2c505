package docs_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"fanfare/docs"
	"fanfare/models"
)

// Every message has the golden frames of its type as examples, byte for byte, and they are what its schema says.
func TestAsyncAPIExamples(t *testing.T) {
	text, err := os.ReadFile("../models/testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct{ Name, By, Frame string }
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string) // by whom they are, and their names
	for _, g := range golden {
		want[g.By+": "+g.Name] = g.Frame
	}
	compiler := compiler(t)
	for name, m := range load(t).Components.Messages {
		schema, err := compiler.Compile(location + m.Payload.Ref)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		by := "server"
		if m.isRequest() {
			by = "client"
		}
		for _, example := range m.Examples {
			frame := jsontext.Value(example.Payload)
			if err := frame.Compact(); err != nil {
				t.Fatal(err)
			}
			if want[by+": "+example.Name] != string(frame) {
				t.Errorf("%s, %q: not a golden frame, or quoted twice: %s", name, example.Name, frame)
			}
			delete(want, by+": "+example.Name)
			if err := validate(schema, string(frame)); err != nil {
				t.Errorf("%s, %q: %v", name, example.Name, err)
			}
			// No other action, type or specversion has room for it.
			other := regexp.MustCompile(`^{"(action|type|specversion)":"[a-z_0-9.]+"`).ReplaceAllString(string(frame), `{"$1":"color"`)
			if err := validate(schema, other); err == nil {
				t.Errorf("%s takes another type than its own", name)
			}
		}
	}
	for name := range want {
		t.Errorf("no message has %q as its example", name)
	}
}

// location stands for the document among schemas.
const location = "file:///asyncapi.json"

// compiler knows the schemas of the document, all objects of which have no more fields than they name.
func compiler(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	var document any
	if err := json.Unmarshal([]byte(docs.AsyncAPI()), &document); err != nil {
		t.Fatal(err)
	}
	for _, schema := range document.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any) {
		if object := schema.(map[string]any); object["properties"] != nil && object["additionalProperties"] == nil {
			object["additionalProperties"] = false
		}
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.AssertFormat()
	if err := compiler.AddResource(location, document); err != nil {
		t.Fatal(err)
	}
	return compiler
}

func validate(schema *jsonschema.Schema, frame string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(frame))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// What has a list of values has those of models.
func TestAsyncAPILists(t *testing.T) {
	document := load(t)
	schemas := document.Components.Schemas
	var codes []string
	for _, c := range document.Channels["ws"].CloseCodes {
		codes = append(codes, strconv.Itoa(int(c.Code)))
		if c.Reason != c.Code.String() {
			t.Errorf("%d is %q, not %q", c.Code, c.Code, c.Reason)
		}
	}
	abnormal := strconv.Itoa(int(models.CloseAbnormal)) // is never sent
	sent := slices.DeleteFunc(constants(t, "../models/close.go", "CloseCode"), func(code string) bool { return code == abnormal })
	for name, list := range map[string]struct{ models, document []string }{
		"codes":       {constants(t, "../models/errors.go", "Code"), schemas["Code"].Enum},
		"overflow":    {constants(t, "../models/overflow.go", "Overflow"), schemas["SubscribeRequest"].Properties["overflow"].Enum},
		"close codes": {sent, codes},
		"notices":     {noticeCodes(t), schemas["Notice"].Properties["code"].Enum},
	} {
		slices.Sort(list.models)
		slices.Sort(list.document)
		if diff := cmp.Diff(list.models, list.document); diff != "" {
			t.Errorf("%s (-models +document):\n%s", name, diff)
		}
	}
}

// constants gives the values of a type's constants, sorted.
func constants(t *testing.T, file, typeName string) (values []string) {
	t.Helper()
	ast.Inspect(parse(t, file), func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && fmt.Sprint(spec.Type) == typeName {
			for _, value := range spec.Values {
				values = append(values, strings.Trim(value.(*ast.BasicLit).Value, `"`))
			}
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("%s has no %s", file, typeName)
	}
	slices.Sort(values)
	return values
}

// noticeCodes gives those that models makes notices with.
func noticeCodes(t *testing.T) (codes []string) {
	t.Helper()
	ast.Inspect(parse(t, "../models/frame.go"), func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok || fmt.Sprint(literal.Type) != "Notice" {
			return true
		}
		for _, element := range literal.Elts {
			if pair := element.(*ast.KeyValueExpr); fmt.Sprint(pair.Key) == "Code" {
				codes = append(codes, strings.Trim(pair.Value.(*ast.BasicLit).Value, `"`))
			}
		}
		return true
	})
	return codes
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
