package models_test

import (
	"slices"
	"strings"
	"testing"

	"fanfare/models"
)

func TestParseTopic(t *testing.T) {
	cases := map[string]struct {
		text    string
		topic   bool
		pattern bool
	}{
		"one token":             {"news", true, true},
		"tokens":                {"news.eu.sport", true, true},
		"case is kept":          {"News.EU", true, true},
		"unicode":               {"nachrichten.köln.日本", true, true},
		"emoji":                 {"🎺.🥁", true, true},
		"url characters":        {"a/b?c=d#e+f%20", true, true},
		"json characters":       {`a"b\c`, true, true},
		"dollar inside":         {"a.$b", true, true},
		"longest":               {strings.Repeat("x", models.MaxTopicBytes), true, true},
		"empty":                 {"", false, false},
		"too long":              {strings.Repeat("x", models.MaxTopicBytes+1), false, false},
		"too long in bytes":     {strings.Repeat("ü", models.MaxTopicBytes/2+1), false, false},
		"only a dot":            {".", false, false},
		"dot at the start":      {".a", false, false},
		"dot at the end":        {"a.", false, false},
		"two dots":              {"a..b", false, false},
		"space":                 {"a b", false, false},
		"no-break space":        {"a\u00a0b", false, false},
		"ideographic space":     {"a\u3000b", false, false},
		"tab":                   {"a\tb", false, false},
		"line feed":             {"a\nb", false, false},
		"nul":                   {"a\x00b", false, false},
		"delete":                {"a\x7fb", false, false},
		"c1 control":            {"a\u0085b", false, false},
		"invalid utf-8":         {"a\xffb", false, false},
		"reserved":              {"$sys.clients", false, false},
		"star":                  {"*", false, true},
		"star is one token":     {"a.*.b", false, true},
		"tail":                  {"a.>", false, true},
		"tail alone":            {">", false, true},
		"star and tail":         {"*.>", false, true},
		"star in a token":       {"a*", false, false},
		"two stars in a token":  {"a.**", false, false},
		"tail in a token":       {"a>", false, false},
		"tail not at the end":   {"a.>.b", false, false},
		"tail at the beginning": {">.a", false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			topic, err := models.ParseTopic(c.text)
			checkParsed(t, "ParseTopic", string(topic), c.text, err, c.topic)
			pattern, err := models.ParsePattern(c.text)
			checkParsed(t, "ParsePattern", string(pattern), c.text, err, c.pattern)
		})
	}
}

func checkParsed(t *testing.T, function, got, text string, err error, valid bool) {
	t.Helper()
	switch {
	case valid && (err != nil || got != text):
		t.Errorf("%s(%q) = %q, %v", function, text, got, err)
	case !valid && models.AsError(err).Code != models.CodeInvalidTopic:
		t.Errorf("%s(%q): error %v, want %s", function, text, err, models.CodeInvalidTopic)
	}
}

func TestPatternMatches(t *testing.T) {
	cases := map[string]struct {
		pattern models.Pattern
		topic   models.Topic
		want    bool
	}{
		"itself":                     {"a.b", "a.b", true},
		"case matters":               {"a.b", "a.B", false},
		"shorter":                    {"a.b", "a", false},
		"longer":                     {"a", "a.b", false},
		"prefix of a token":          {"ab", "a", false},
		"star":                       {"room.*", "room.a", true},
		"star is one token":          {"room.*", "room.a.b", false},
		"star is not no token":       {"room.*", "room", false},
		"star in the middle":         {"a.*.c", "a.b.c", true},
		"star in the middle, other":  {"a.*.c", "a.b.d", false},
		"star first":                 {"*.b", "a.b", true},
		"star alone":                 {"*", "a", true},
		"star alone is one":          {"*", "a.b", false},
		"tail one":                   {"a.>", "a.b", true},
		"tail many":                  {"a.>", "a.b.c.d", true},
		"tail does not match itself": {"a.>", "a", false},
		"tail other":                 {"a.>", "b.c", false},
		"tail alone":                 {">", "a", true},
		"tail alone, many":           {">", "a.b.c", true},
		"star and tail":              {"*.>", "a.b", true},
		"star and tail, too short":   {"*.>", "a", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.pattern.Matches(c.topic); got != c.want {
				t.Errorf("%q.Matches(%q) = %v, want %v", c.pattern, c.topic, got, c.want)
			}
		})
	}
}

// matchesTokens is Pattern.Matches once more, said as simply as possible.
func matchesTokens(pattern, topic []string) bool {
	if len(pattern) == 0 || len(topic) == 0 {
		return len(pattern) == len(topic)
	}
	if pattern[0] == models.AnyTail {
		return true
	}
	return (pattern[0] == models.AnyToken || pattern[0] == topic[0]) && matchesTokens(pattern[1:], topic[1:])
}

func FuzzTopics(f *testing.F) {
	f.Add("a.*.c", "a.b.c")
	f.Add("a.>", "a")
	f.Add(">", "ü.\u0085")
	f.Add("*.>", "$a..")
	f.Fuzz(func(t *testing.T, patternText, topicText string) {
		pattern, patternErr := models.ParsePattern(patternText)
		topic, topicErr := models.ParseTopic(topicText)
		if topicErr == nil {
			if same, err := models.ParsePattern(topicText); err != nil || same.HasWildcard() || !same.Matches(topic) {
				t.Errorf("the topic %q is no pattern for itself: %v", topicText, err)
			}
		}
		if patternErr != nil || topicErr != nil {
			return
		}
		want := matchesTokens(strings.Split(patternText, "."), strings.Split(topicText, "."))
		if got := pattern.Matches(topic); got != want {
			t.Errorf("%q.Matches(%q) = %v", pattern, topic, got)
		}
		if want && !strings.HasPrefix(topicText, pattern.Prefix()) {
			t.Errorf("%q matches %q, but has the prefix %q", pattern, topic, pattern.Prefix())
		}
		if !pattern.HasWildcard() && slices.Contains(strings.Split(patternText, "."), models.AnyToken) {
			t.Errorf("%q has a wildcard", pattern)
		}
	})
}
