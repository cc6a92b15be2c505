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
//	@description				Real-time pub/sub: publish a message with curl, and every subscriber has it a moment later. Errors are problem details (RFC 9457) with a stable code.
//	@BasePath					/
//	@schemes					http
//	@externalDocs.description	The console
//	@externalDocs.url			/
//	@securityDefinitions.apikey	Bearer
//	@in							header
//	@name						Authorization
//	@description				"Bearer " and a token or an API key, if the server asks for one. In place of the header there may be a query parameter access_token.
func main() {
	os.Exit(app.Main())
}
