// Package remote is a Fanfare somewhere, as the commands see it that talk to one over HTTP.
package remote
