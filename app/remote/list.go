package remote

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"fanfare/models"
)

// pageLimit is how many entries of a list are asked for at a time.
const pageLimit = 1000

// Page is a part of a list.
type Page struct {
	// Entries are JSON objects.
	Entries []jsontext.Value
	// Unreachable names the nodes of a cluster whose entries are missing.
	Unreachable []string
}

// List gives the pages of a list: "topics" or "clients".
func (s *Server) List(ctx context.Context, name string, query url.Values) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		query := maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		query.Set("limit", strconv.Itoa(pageLimit))
		for {
			page, next, err := s.page(ctx, name, query)
			if !yield(page, err) || err != nil || next == "" {
				return
			}
			query.Set("after", next)
		}
	}
}

func (s *Server) page(ctx context.Context, name string, query url.Values) (page Page, next string, err error) {
	var answer map[string]jsontext.Value
	if err := s.Do(ctx, Request{Method: http.MethodGet, Path: []string{name}, Query: query}, &answer); err != nil {
		return page, "", err
	}
	err = errors.Join(
		decodeMember(answer[name], &page.Entries), decodeMember(answer["next"], &next), decodeMember(answer["unreachable"], &page.Unreachable))
	return page, next, err
}

// decodeMember leaves alone what is absent.
func decodeMember(text jsontext.Value, into any) error {
	if text == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// TopicsFrom gives the names of topics that begin with a text and are longer, of one page at most.
func (s *Server) TopicsFrom(ctx context.Context, beginning string) (names []string, err error) {
	query := url.Values{"limit": {strconv.Itoa(pageLimit)}}
	if beginning != "" {
		query.Set("after", beginning) // in the order of the list they are next
	}
	page, _, err := s.page(ctx, "topics", query)
	for _, entry := range page.Entries {
		var topic models.TopicInfo
		if json.Unmarshal(entry, &topic) == nil && strings.HasPrefix(string(topic.Name), beginning) {
			names = append(names, string(topic.Name))
		}
	}
	return names, err
}
