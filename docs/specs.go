package docs

import _ "embed"

//go:embed openapi.json
var openAPI string

//go:embed asyncapi.json
var asyncAPI string

// OpenAPI is what the server speaks over HTTP: OpenAPI 3.0, made of the Swagger file.
func OpenAPI() string { return openAPI }

// AsyncAPI is what it speaks over its connections: AsyncAPI 3.0, written by hand.
func AsyncAPI() string { return asyncAPI }
