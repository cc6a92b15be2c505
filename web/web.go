// Package web holds the pages that the server shows to a browser: the console and the frame around Swagger UI.
// Each is one file without a build step, embedded into the binary, and loads nothing from another host.
package web

import _ "embed"

//go:embed console.html
var console string

//go:embed swagger.html
var swagger string

// Console is the page at /: it connects to /ws by itself, subscribes, publishes and watches.
func Console() string { return console }

// Swagger is the page at /swagger/. It expects Swagger UI's own files and doc.json beside it.
func Swagger() string { return swagger }
