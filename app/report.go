package app

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// report is what a command has found out, for people.
type report struct{ text strings.Builder }

// row has a name and what it is.
func (r *report) row(name, value string) { r.line("%-16s%s", name, value) }

func (r *report) line(format string, args ...any) {
	r.text.WriteString(plain(fmt.Sprintf(format, args...)) + "\n")
}

func (r *report) print(w io.Writer) error {
	_, err := io.WriteString(w, r.text.String())
	return err
}

// plain is text as a terminal may have it: quoted if not all of it can be seen, since it has what
// others wrote.
func plain(text string) string {
	if strings.ContainsFunc(text, func(c rune) bool { return !strconv.IsPrint(c) }) {
		return strconv.Quote(text)
	}
	return text
}
