// Package web holds the pages that the server shows to a browser: the console and the frame around Swagger UI.
// They are served as they are written, without a build step, from the binary, and load nothing from another host.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"regexp"
)

//go:embed console/index.html
var console string

//go:embed console/*.js console/*.css
var consoleFiles embed.FS

//go:embed swagger.html
var swagger string

// Page is a page and its Content-Security-Policy: what a browser lets it do. Beyond what Policy names it can load
// nothing, run nothing and send nothing anywhere, whatever a message might smuggle into it.
type Page struct {
	HTML   string
	Policy string
}

// Console is the page at /, which is for everything that a person wants to do with a server. Its script and style are
// ConsoleFiles, below console/, and it expects the JavaScript SDK at /client.js.
func Console() Page {
	return Page{HTML: console, Policy: policy + "; script-src 'self'; style-src 'self'"}
}

// ConsoleFiles are the scripts and the style of the console, by name.
func ConsoleFiles() map[string]string {
	const directory = "console"
	entries, err := consoleFiles.ReadDir(directory)
	if err != nil {
		panic(err) // it is embedded
	}
	files := make(map[string]string)
	for _, entry := range entries {
		text, err := consoleFiles.ReadFile(directory + "/" + entry.Name())
		if err != nil {
			panic(err)
		}
		files[entry.Name()] = string(text)
	}
	return files
}

// Swagger is the page at /swagger/. It expects Swagger UI's own files beside it, and openapi.json above.
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
