// Package app starts: it reads the configuration, builds the parts of the server,
// wires them together, and ends them in order.
package app
