// Fanfare is a real-time pub/sub server: publish with curl, subscribe from a browser.
package main

import (
	"os"

	"fanfare/app"
)

// main runs the command line. What follows is the header of the OpenAPI files.
//
//	@title						Fanfare
//	@version					1.0
//	@description				Real-time pub/sub: publish a message with curl, and every subscriber has it a moment later. Errors are problem details (RFC 9457) with a stable code: of a route that does not exist not_found (404), of a method that a route does not have method_not_allowed (405) with Allow. Every answer has Cache-Control, X-Content-Type-Options (nosniff) and Cross-Origin-Resource-Policy (same-origin); to pages of the allowed origins also Access-Control-Allow-Origin, Access-Control-Expose-Headers and Vary. What answers GET answers HEAD, too. Ignore fields that you do not know.
//	@BasePath					/
//	@schemes					http
//	@externalDocs.description	The console
//	@externalDocs.url			/
//	@x-components				{"schemas":{"models.Message":{"properties":{"event":{"type":"object","example":{"specversion":"1.0","id":"A-1","source":"/orders","type":"order.placed"}}}},"handlers.batchMessage":{"properties":{"event":{"type":"object","example":{"specversion":"1.0","id":"A-1","source":"/orders","type":"order.placed"}}}},"BatchResults":{"type":"object","description":"What became of each message.","required":["results"],"properties":{"results":{"type":"array","items":{"oneOf":[{"$ref":"#/components/schemas/models.Receipt"},{"$ref":"#/components/schemas/models.Problem"}]}}},"example":{"results":[{"id":"4kq9zt2m-1042","topic":"news.eu","time":"2026-11-23T17:45:01.250Z","duplicate":false,"subscribers":2},{"type":"about:blank","title":"Bad Request","status":400,"detail":"a topic must not be empty","code":"invalid_topic"}]}},"CloudEvent":{"type":"object","description":"A CloudEvent in the JSON format (https://cloudevents.io, version 1.0). Other attributes are strings, booleans or integers. What begins with fanfare is the server's.","required":["specversion","id","source","type"],"properties":{"specversion":{"type":"string","enum":["1.0"]},"id":{"type":"string","minLength":1},"source":{"type":"string","format":"uri-reference","minLength":1},"type":{"type":"string","minLength":1},"subject":{"type":"string","minLength":1},"time":{"type":"string","format":"date-time"},"datacontenttype":{"type":"string"},"dataschema":{"type":"string","format":"uri"},"data":{"description":"Any JSON value."},"data_base64":{"type":"string","format":"byte","description":"Bytes, in place of data."},"fanfareid":{"type":"string","description":"The id of the message: the cursor."},"fanfaretopic":{"type":"string"},"fanfarefrom":{"type":"string","description":"The name of the authenticated publisher."},"traceparent":{"type":"string"},"tracestate":{"type":"string"}},"additionalProperties":{"anyOf":[{"type":"string"},{"type":"boolean"},{"type":"integer"}]},"example":{"specversion":"1.0","id":"A-1","source":"/orders","type":"order.placed","subject":"1042","data":{"n":1}}},"CloudEventPage":{"type":"object","description":"A page of the log as CloudEvents.","required":["messages","next"],"properties":{"messages":{"type":"array","items":{"$ref":"#/components/schemas/CloudEvent"}},"recovered":{"type":"boolean"},"next":{"type":"string"}}}}}
//	@tag.name					topics
//	@tag.description			Publish, read what was published, and see who listens.
//	@tag.name					connections
//	@tag.description			Listen: over a WebSocket, or as a stream of events or lines.
//	@tag.name					clients
//	@tag.description			Who is connected. For administrators.
//	@tag.name					operations
//	@tag.description			For whoever runs the server: probes and metrics.
//	@tag.name					specifications
//	@tag.description			What this server speaks, for tools.
//	@securityDefinitions.apikey	Bearer
//	@in							header
//	@name						Authorization
//	@description				"Bearer " and a token or an API key, if the server asks for one. In place of the header there may be a query parameter access_token.
func main() {
	os.Exit(app.Main())
}
