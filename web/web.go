// Package web holds the pages that the server shows to a browser: the console and the frame around Swagger UI.
// Each is one file without a build step, embedded into the binary, and loads nothing from another host.
package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"regexp"
)

//go:embed console.html
var console string

//go:embed swagger.html
var swagger string

// Page is a page and its Content-Security-Policy: what a browser lets it do. Beyond what Policy names it can load
// nothing, run nothing and send nothing anywhere, whatever a message might smuggle into it.
type Page struct {
	HTML   string
	Policy string
}

// Console is the page at /: it connects to /ws by itself, subscribes, publishes and watches.
func Console() Page {
	return Page{HTML: console, Policy: policy +
		"; script-src" + hashes(console, "script") +
		"; style-src" + hashes(console, "style")}
}

// Swagger is the page at /swagger/. It expects Swagger UI's own files and doc.json beside it.
func Swagger() Page {
	return Page{HTML: swagger, Policy: policy +
		"; script-src 'self'" + hashes(swagger, "script") +
		"; style-src 'self'" + hashes(swagger, "style")}
}

// policy is what both pages have in common. Their images are in them, and 'self' is the WebSocket of their own host, too.
const policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"connect-src 'self'; img-src data:"

// hashes lets in the inline elements of that name, which have no attributes, by what they contain.
func hashes(html, element string) string {
	sources := ""
	for _, match := range regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(html, -1) {
		sum := sha256.Sum256([]byte(match[1]))
		sources += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return sources
}
