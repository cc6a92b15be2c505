// Package deploy has what it takes to run Fanfare elsewhere, and tests that hold that to the code.
package deploy
