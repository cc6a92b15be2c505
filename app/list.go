package app

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"fanfare/app/remote"
	"fanfare/models"
)

// listing is a list of a server.
type listing struct {
	name  string
	query url.Values
	// head is that of the table, row makes one of an entry.
	head []string
	row  func(entry jsontext.Value) ([]string, error)
}

// list writes all pages of a list: a table for people, JSON lines for programs. Its error names what is missing.
func (c command) list(ctx context.Context, server *remote.Server, asJSON bool, l listing) error {
	write := c.writeLines
	if c.outTerminal && !asJSON {
		write = c.tableWriter(l)
	}
	var unreachable []string
	for page, err := range server.List(ctx, l.name, l.query) {
		if err != nil {
			return err
		}
		if err := write(page.Entries); err != nil {
			return err
		}
		unreachable = page.Unreachable
	}
	return missing(unreachable)
}

func (c command) writeLines(entries []jsontext.Value) error {
	out := bufio.NewWriter(c.stdout)
	for _, entry := range entries {
		_, _ = out.Write(append(entry, '\n')) // Flush has the error
	}
	return out.Flush()
}

// tableWriter writes the pages of a table, with one head.
func (c command) tableWriter(l listing) func([]jsontext.Value) error {
	table := tabwriter.NewWriter(c.stdout, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, strings.Join(l.head, "\t")) // Flush has the error
	return func(entries []jsontext.Value) error {
		for _, entry := range entries {
			cells, err := l.row(entry)
			if err != nil {
				return err
			}
			for i, cell := range cells {
				cells[i] = cmp.Or(plain(cell), "-")
			}
			_, _ = fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
		return table.Flush()
	}
}

// missing is an error if nodes of a cluster did not answer.
func missing(unreachable []string) error {
	if len(unreachable) == 0 {
		return nil
	}
	return fmt.Errorf("nodes of the cluster did not answer, and what is theirs is missing: %s", plain(strings.Join(unreachable, ", ")))
}

func decode[T any](text jsontext.Value) (value T, err error) {
	err = json.Unmarshal(text, &value)
	return value, err
}

// ago is how long ago something was, for people; empty if it never was.
func ago(t models.Timestamp) string {
	if t.IsZero() {
		return ""
	}
	return distance(min(time.Until(t.Time), -time.Nanosecond))
}
