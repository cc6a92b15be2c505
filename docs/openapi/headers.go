package main

import "github.com/getkin/kin-openapi/openapi3"

// headers are those of the answers, besides what HTTP itself has.
func headers() openapi3.Headers {
	all := make(openapi3.Headers)
	for name, header := range map[string]struct {
		description, example string
		required             bool
	}{
		"X-Request-Id":          {"finds the request in the server's log", "dlisdyti-5", true},
		"WWW-Authenticate":      {"how to say who you are (RFC 6750)", "Bearer", true},
		"Accept-Encoding":       {"what a body may come with (RFC 7694)", "identity", true},
		"Retry-After":           {"after how many seconds to try again", "1", false},
		"Upgrade":               {"what this route speaks", "websocket", true},
		"Sec-WebSocket-Version": {"which version of it", "13", true},
	} {
		value := openapi3.Header{}
		value.Description = header.description
		value.Required = header.required
		value.Schema = openapi3.NewSchemaRef("", openapi3.NewStringSchema())
		if name == "Retry-After" {
			value.Schema = openapi3.NewSchemaRef("", openapi3.NewIntegerSchema().WithMin(1))
			value.Example = 1
		} else {
			value.Example = header.example
		}
		all[name] = &openapi3.HeaderRef{Value: &value}
	}
	return all
}

// headersOf gives those of every answer with a status. What protects every answer alike is in the document's
// description, or it would hide the rest.
func headersOf(status string) openapi3.Headers {
	names := []string{"X-Request-Id"}
	switch status {
	case "401":
		names = append(names, "WWW-Authenticate")
	case "415":
		names = append(names, "Accept-Encoding")
	case "426":
		names = append(names, "Upgrade", "Sec-WebSocket-Version")
	case "429", "503":
		names = append(names, "Retry-After")
	case "default": // some of them could not be read
		names = []string{"Retry-After"}
	}
	headers := make(openapi3.Headers)
	if status == "default" {
		id := openapi3.Header{}
		id.Description = "finds the request in the server's log, unless it could not be read"
		id.Schema = openapi3.NewSchemaRef("", openapi3.NewStringSchema())
		headers["X-Request-Id"] = &openapi3.HeaderRef{Value: &id}
	}
	for _, name := range names {
		headers[name] = &openapi3.HeaderRef{Ref: "#/components/headers/" + name}
	}
	return headers
}
