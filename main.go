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
