// Package fanfare is the client of a Fanfare server.
package fanfare
