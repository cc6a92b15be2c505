package main

import "github.com/getkin/kin-openapi/openapi3"

// headers are those of the answers, besides what HTTP itself has.
func headers() openapi3.Headers {
	text, seconds := openapi3.NewStringSchema, func() *openapi3.Schema { return openapi3.NewIntegerSchema().WithMin(1) }
	return openapi3.Headers{
		"X-Request-Id":          header("finds the request in the server's log", text(), "dlisdyti-5", true),
		"WWW-Authenticate":      header("how to say who you are (RFC 6750)", text(), "Bearer", true),
		"Accept-Encoding":       header("what a body may come with (RFC 7694)", text(), "identity", true),
		"Retry-After":           header("after how many seconds to try again, where that may help", seconds(), 1, false),
		"Upgrade":               header("what this route speaks", text(), "websocket", true),
		"Sec-WebSocket-Version": header("which version of it", text(), "13", true),
	}
}

func header(description string, schema *openapi3.Schema, example any, required bool) *openapi3.HeaderRef {
	value := &openapi3.Header{}
	value.Description, value.Schema, value.Example, value.Required = description, schema.NewRef(), example, required
	return &openapi3.HeaderRef{Value: value}
}

// headersOf gives those of every answer with a status. What protects every answer alike is in the document's
// description, or it would hide the rest.
func headersOf(status string) openapi3.Headers {
	ref := func(name string) *openapi3.HeaderRef { return &openapi3.HeaderRef{Ref: "#/components/headers/" + name} }
	headers := openapi3.Headers{"X-Request-Id": ref("X-Request-Id")}
	switch status {
	case "401":
		headers["WWW-Authenticate"] = ref("WWW-Authenticate")
	case "415":
		headers["Accept-Encoding"] = ref("Accept-Encoding")
	case "426":
		headers["Upgrade"], headers["Sec-WebSocket-Version"] = ref("Upgrade"), ref("Sec-WebSocket-Version")
	case "429", "503":
		headers["Retry-After"] = ref("Retry-After")
	case "default":
		headers["Retry-After"] = ref("Retry-After")
		headers["X-Request-Id"] = header("finds the request in the server's log, unless it could not be read",
			openapi3.NewStringSchema(), "dlisdyti-5", false)
	}
	return headers
}
