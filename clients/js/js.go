// Package js holds the client for JavaScript, which the server hands out: one file without a build step, embedded into the
// binary.
package js

import _ "embed"

//go:embed client.js
var client string

// Client is the module at /client.js.
func Client() string {
	return client
}
