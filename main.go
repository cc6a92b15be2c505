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
func main() {
	os.Exit(app.Main())
}
