//go:build !unix

package app

import (
	"context"
	"io"
)

// whenClosed does nothing: the next message will tell.
func whenClosed(context.Context, io.Writer, func()) {}
