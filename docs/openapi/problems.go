package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

const problemRef = "#/components/schemas/models.Problem"

// code is a models.Code, with what its constant's comment says.
type code struct{ name, meaning string }

// codesOf finds all codes in their schema.
func codesOf(schemas openapi3.Schemas) ([]code, error) {
	schema, found := schemas["models.Code"]
	if !found {
		return nil, errors.New("there is no schema models.Code")
	}
	raw, err := json.Marshal(schema.Value.Extensions["x-enum-descriptions"])
	if err != nil {
		return nil, err
	}
	var meanings []string
	if err := json.Unmarshal(raw, &meanings); err != nil {
		return nil, err
	}
	if len(meanings) != len(schema.Value.Enum) {
		return nil, errors.New("each models.Code needs a comment behind it")
	}
	var codes []code
	for i, name := range schema.Value.Enum {
		codes = append(codes, code{name: name.(string), meaning: meanings[i]})
	}
	return codes, nil
}

// problems makes the bodies of errors, and an example of each code on the way.
type problems struct {
	codes    []code
	examples openapi3.Examples
}

// content is the body of an error of that status, with an example for each code that the description names:
// those are the codes that it may have.
func (p *problems) content(status int, description string) (openapi3.Content, error) {
	media := openapi3.NewMediaType().WithSchemaRef(openapi3.NewSchemaRef(problemRef, nil))
	media.Examples = make(openapi3.Examples)
	words := regexp.MustCompile(`[a-z_]+`).FindAllString(description, -1)
	for _, c := range p.codes {
		if slices.Contains(words, c.name) {
			if err := p.add(media, status, c); err != nil {
				return nil, err
			}
		}
	}
	if len(media.Examples) == 0 {
		return nil, fmt.Errorf("the description of %d names no code: %q", status, description)
	}
	return openapi3.Content{"application/problem+json": media}, nil
}

// add puts the example of a code into a body.
func (p *problems) add(media *openapi3.MediaType, status int, c code) error {
	value := map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status,
		"detail": c.meaning, "code": c.name, "request_id": "dlisdyti-5",
	}
	if known, found := p.examples[c.name]; found && known.Value.Value.(map[string]any)["status"] != status {
		return fmt.Errorf("%s has the status %d here, and another elsewhere", c.name, status)
	}
	example := openapi3.NewExample(value)
	example.Summary = c.meaning
	p.examples[c.name] = &openapi3.ExampleRef{Value: example}
	media.Examples[c.name] = &openapi3.ExampleRef{Ref: "#/components/examples/" + c.name}
	return nil
}

// other is what may go wrong with a request to any route.
func (p *problems) other() (*openapi3.Response, error) {
	response := openapi3.NewResponse().WithDescription("What may go wrong on every route: invalid_request (400, a request that cannot " +
		"be read, or a bad query), forbidden (403, a page of another origin), request_timeout (408), rate_limited (429, so far as " +
		"nothing else is said), headers_too_large (431), internal (500). A request that could not be read has no X-Request-Id.")
	response.Headers = headersOf("default")
	media := openapi3.NewMediaType().WithSchemaRef(openapi3.NewSchemaRef(problemRef, nil))
	media.Examples = make(openapi3.Examples)
	statuses := map[string]int{
		"invalid_request": 400, "forbidden": 403, "request_timeout": 408, "rate_limited": 429, "headers_too_large": 431, "internal": 500,
	}
	for _, c := range p.codes {
		if status, found := statuses[c.name]; found {
			if err := p.add(media, status, c); err != nil {
				return nil, err
			}
		}
	}
	response.Content = openapi3.Content{"application/problem+json": media}
	return response, nil
}
