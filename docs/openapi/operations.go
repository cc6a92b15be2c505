package main

import (
	_ "embed" // components.json
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// components has the schemas that no Go type stands for, as a JSON Merge Patch (RFC 7396).
//
//go:embed components.json
var components string

// firstJSON is application/json, and stands before all others: Swagger UI offers the first.
const firstJSON = " application/json"

// complete adds to the document what Swagger 2.0 has no words for.
func complete(document *openapi3.T) error {
	document.OpenAPI = "3.0.3"
	document.Info.Contact = nil // swag writes an empty one
	// The server is whichever gives the document.
	document.Servers = openapi3.Servers{{URL: "/", Description: "the server that gives this document"}}
	fields, err := requiredFields("models", "handlers")
	if err != nil {
		return err
	}
	completeSchemas(document.Components.Schemas, fields)
	var patch any
	if err := json.Unmarshal([]byte(components), &patch); err != nil {
		return err
	}
	if document.Components, err = patched(document.Components, patch); err != nil {
		return err
	}
	codes, err := codesOf(document.Components.Schemas)
	if err != nil {
		return err
	}
	problems := &problems{codes: codes, examples: make(openapi3.Examples)}
	document.Components.Headers = headers()
	completeSecurity(document)
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if err := completeOperation(operation, problems, document.Components.Schemas); err != nil {
				return fmt.Errorf("%s %s: %w", method, path, err)
			}
		}
	}
	document.Components.Examples = problems.examples
	return nil
}

func completeOperation(operation *openapi3.Operation, problems *problems, schemas openapi3.Schemas) error {
	for _, parameter := range operation.Parameters {
		completeParameter(parameter.Value)
	}
	if operation.RequestBody != nil {
		delete(operation.RequestBody.Value.Extensions, "x-originalParamName")
		completeContent(operation.RequestBody.Value.Content, schemas)
	}
	for status, response := range operation.Responses.Map() {
		if err := completeResponse(status, response.Value, problems, schemas); err != nil {
			return err
		}
	}
	other, err := problems.other()
	if err != nil {
		return err
	}
	operation.Responses.Set("default", &openapi3.ResponseRef{Value: other})
	// What only the comment of the handler can say.
	if patch, found := operation.Extensions["x-requestBody"]; found {
		if operation.RequestBody, err = patched(operation.RequestBody, patch); err != nil {
			return err
		}
	}
	if patch, found := operation.Extensions["x-responses"]; found {
		if operation.Responses, err = patched(operation.Responses, patch); err != nil {
			return err
		}
	}
	if body := operation.RequestBody; body != nil && body.Value.Content["application/json"] != nil {
		body.Value.Content[firstJSON] = body.Value.Content["application/json"]
		delete(body.Value.Content, "application/json")
	}
	delete(operation.Extensions, "x-requestBody")
	delete(operation.Extensions, "x-responses")
	return nil
}

// patched is a part of the document with a JSON Merge Patch.
func patched[T any](part T, patch any) (result T, err error) {
	text, err := json.Marshal(part)
	if err != nil {
		return result, err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return result, err
	}
	if text, err = json.Marshal(merge(tree, patch)); err != nil {
		return result, err
	}
	return result, json.Unmarshal(text, &result)
}

// merge is MergePatch of RFC 7396, section 2.
func merge(target, patch any) any {
	patches, isObject := patch.(map[string]any)
	if !isObject {
		return patch
	}
	merged, isObject := target.(map[string]any)
	if !isObject {
		merged = map[string]any{}
	}
	for name, value := range patches {
		if value == nil {
			delete(merged, name)
		} else {
			merged[name] = merge(merged[name], value)
		}
	}
	return merged
}

// completeParameter gives a parameter the example that its comment has. That of a list is a list.
func completeParameter(parameter *openapi3.Parameter) {
	parameter.Example = parameter.Extensions[exampleExtension]
	delete(parameter.Extensions, exampleExtension)
	if parameter.Example != nil && parameter.Schema.Value.Type.Is("array") {
		parameter.Example = []any{parameter.Example}
	}
}

// completeContent gives bodies that have none an example, made of those of the fields.
func completeContent(content openapi3.Content, schemas openapi3.Schemas) {
	for kind, media := range content {
		switch kind {
		case "application/json", "application/cloudevents+json", "application/cloudevents-batch+json":
			if example := exampleOf(media.Schema, schemas); example != nil {
				media.Example = example
			}
		case "application/octet-stream":
			media.Schema = openapi3.NewSchemaRef("", openapi3.NewStringSchema().WithFormat("binary"))
		default:
			media.Schema = openapi3.NewSchemaRef("", openapi3.NewStringSchema())
		}
	}
}

func completeResponse(status string, response *openapi3.Response, problems *problems, schemas openapi3.Schemas) error {
	for _, header := range response.Headers { // those of the comment
		header.Value.Required = true
	}
	if response.Headers == nil {
		response.Headers = make(openapi3.Headers)
	}
	maps.Copy(response.Headers, headersOf(status))
	if !isProblem(response.Content) {
		completeContent(response.Content, schemas)
		return nil
	}
	number, err := strconv.Atoi(status)
	if err != nil {
		return err
	}
	response.Content, err = problems.content(number, *response.Description)
	return err
}

func isProblem(content openapi3.Content) bool {
	for _, media := range content {
		return media.Schema.Ref == problemRef
	}
	return false
}

// completeSecurity has a token come as RFC 6750 says: in a header, or in the query, for those who can set no headers.
// Whether it is needed is up to the server's configuration.
func completeSecurity(document *openapi3.T) {
	document.Components.SecuritySchemes["Bearer"].Value = openapi3.NewSecurityScheme().WithType("http").
		WithScheme("bearer").WithDescription("A token or an API key, if the server asks for one.")
	document.Components.SecuritySchemes["AccessToken"] = &openapi3.SecuritySchemeRef{Value: openapi3.NewSecurityScheme().
		WithType("apiKey").WithIn("query").WithName("access_token").
		WithDescription("A token or an API key, where no header can be set: in a browser's EventSource or WebSocket.")}
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			requirements := openapi3.SecurityRequirements{}
			if operation.Security != nil {
				requirements = openapi3.SecurityRequirements{{"Bearer": {}}, {"AccessToken": {}}, {}}
			}
			operation.Security = &requirements
		}
	}
}

// renameSchemas takes the names of Go's packages off the schemas: whoever generates a client wants a Receipt.
func renameSchemas(document []byte) []byte {
	var tree map[string]any
	if json.Unmarshal(document, &tree) != nil {
		return document
	}
	text := string(document)
	components, _ := tree["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		_, short, isOfPackage := strings.Cut(name, ".")
		if !isOfPackage {
			continue
		}
		short = strings.ToUpper(short[:1]) + short[1:]
		text = strings.NewReplacer(`"`+name+`"`, `"`+short+`"`, "/schemas/"+name+`"`, "/schemas/"+short+`"`).Replace(text)
	}
	return []byte(text)
}
