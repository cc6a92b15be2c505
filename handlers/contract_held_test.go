package handlers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"fanfare/docs"
	"fanfare/models"
)

// tree is a part of a document.
type tree = map[string]any

// at follows a path of names.
func at(document tree, names ...string) tree {
	for _, name := range names {
		document = document[name].(tree)
	}
	return document
}

// TestContractIsHeld: wherever document and server differ, the check of the contract says so.
func TestContractIsHeld(t *testing.T) {
	const path = "/topics/{name}/publish"
	responses := func(d tree) tree { return at(d, "paths", path, "post", "responses") }
	problem := func(d tree, status string) tree {
		return at(responses(d), status, "content", "application/problem+json", "examples")
	}
	example := func(code string) tree { return tree{"$ref": "#/components/examples/" + code} }
	s := start(t)
	for name, tt := range map[string]struct {
		change func(tree)
		want   string
	}{
		"nothing": {change: func(tree) {}},
		"a status is not documented": {
			func(d tree) { delete(responses(d), "409") }, "the code conflict is not documented for this status",
		},
		"a success is not documented": {
			func(d tree) { delete(responses(d), "200") }, "there is no status 200",
		},
		"a code is not documented": {
			func(d tree) { delete(problem(d, "409"), "conflict") }, "the code conflict is not documented for this status",
		},
		"a field is not documented": {
			func(d tree) { delete(at(d, "components", "schemas", "Receipt", "properties"), "subscribers") }, `property "subscribers" is unsupported`,
		},
		"a field has another type": {
			func(d tree) { at(d, "components", "schemas", "Receipt", "properties", "duplicate")["type"] = "string" }, "value must be a string",
		},
		"a field is not sent": {
			func(d tree) { at(d, "components", "schemas", "Receipt")["required"] = []string{"color"} }, `property "color" is missing`,
		},
		"a header is not documented": {
			func(d tree) { delete(at(responses(d), "200", "headers"), "X-Request-Id") }, "headers that are not documented: X-Request-Id",
		},
		"a header of all answers is not documented": {
			func(d tree) { at(d, "info")["description"] = "Cache-Control, X-Content-Type-Options" },
			"headers that are not documented: Cross-Origin-Resource-Policy",
		},
		"a header is not sent": {
			func(d tree) {
				at(responses(d), "200", "headers")["X-Color"] = tree{"required": true, "schema": tree{"type": "string"}}
			},
			`response header "X-Color" missing`,
		},
		"a parameter is not documented": {
			func(d tree) {
				operation := at(d, "paths", "/topics/{name}/messages", "get")
				operation["parameters"] = slices.DeleteFunc(operation["parameters"].([]any), func(p any) bool { return p.(tree)["name"] == "last" })
			},
			"the parameter last is not documented",
		},
		"a parameter is never used": {
			func(d tree) {
				operation := at(d, "paths", path, "post")
				operation["parameters"] = append(operation["parameters"].([]any), tree{"name": "color", "in": "query", "schema": tree{"type": "string"}})
			},
			"never seen: publish with the query parameter color",
		},
		"another content type": {
			func(d tree) {
				content := at(responses(d), "200", "content")
				content["text/plain"] = content["application/json"]
				delete(content, "application/json")
			},
			"Content-Type",
		},
		"a status never comes": {
			func(d tree) { responses(d)["418"] = tree{"description": "a teapot"} }, "never seen: publish 418",
		},
		"a code never comes": {
			func(d tree) { problem(d, "409")["overloaded"] = example("overloaded") }, "never seen: publish 409 overloaded",
		},
		"a code never comes, whatever the route": {
			func(d tree) { problem(d, "default")["conflict"] = example("conflict") }, "never seen: default conflict",
		},
		"a route is not documented": {
			func(d tree) { delete(at(d, "paths"), "/metrics") }, "not documented: GET /metrics",
		},
		"a method is not documented": {
			func(d tree) { delete(at(d, "paths", "/clients"), "delete") }, "not documented: DELETE /clients",
		},
		"a route is not served": {
			func(d tree) {
				paths := at(d, "paths")
				paths["/color"] = paths["/livez"]
				delete(paths, "/livez")
			},
			"not served: GET /color",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := findings(t, s, tt.change)
			isFound := slices.ContainsFunc(got, func(finding string) bool { return strings.Contains(finding, tt.want) })
			if tt.want == "" && len(got) > 0 || !isFound && tt.want != "" {
				t.Errorf("found: %q", got)
			}
		})
	}
}

// findings tells what there is about a changed document that there is not about ours.
func findings(t *testing.T, s *server, change func(tree)) (findings []string) {
	t.Helper()
	var document tree
	unmarshal(t, docs.OpenAPI(), &document)
	change(document)
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newContract(text)
	if err != nil {
		return []string{err.Error()}
	}
	ours, err := newContract([]byte(docs.OpenAPI()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []exchange{
		{"POST", "/topics/a/publish", "1", []string{"Content-Type", "application/json", "Idempotency-Key", "k"}, 200, ""},
		{"POST", "/topics/a/publish", "2", []string{"Content-Type", "application/json", "Idempotency-Key", "k"}, 409, models.CodeConflict},
		{"GET", "/topics/a/messages?last=1", "", nil, 200, ""},
	} {
		a := s.do(t, e.method, e.path, e.body, e.headers...)
		if err := c.check(e.request(t, s), e.body, true, a); err != nil {
			findings = append(findings, err.Error())
		}
		if err := ours.check(e.request(t, s), e.body, true, a); err != nil {
			t.Fatal(err)
		}
	}
	known := ours.missing()
	for _, promise := range c.missing() {
		if !slices.Contains(known, promise) {
			findings = append(findings, "never seen: "+promise)
		}
	}
	return append(findings, c.differences(s.app)...)
}
