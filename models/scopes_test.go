package models

import (
	"strings"
	"testing"
)

func TestPatternCovers(t *testing.T) {
	cases := map[string]struct {
		cover, pattern Pattern
		want           bool
	}{
		"itself":                        {"a.b", "a.b", true},
		"another topic":                 {"a.b", "a.c", false},
		"star covers a token":           {"a.*", "a.b", true},
		"star covers star":              {"a.*", "a.*", true},
		"star is one token":             {"a.*", "a.b.c", false},
		"star is no tail":               {"a.*", "a.>", false},
		"a token does not cover star":   {"a.b", "a.*", false},
		"tail covers topics":            {"a.>", "a.b.c", true},
		"tail covers star":              {"a.>", "a.*", true},
		"tail covers a longer tail":     {"a.>", "a.b.>", true},
		"tail covers itself":            {"a.>", "a.>", true},
		"tail is one token or more":     {"a.>", "a", false},
		"a longer tail is less":         {"a.b.>", "a.>", false},
		"all":                           {">", "*.>", true},
		"all but single tokens":         {"*.>", ">", false},
		"all of two tokens or more":     {"*.>", "a.*", true},
		"a topic does not cover a tail": {"a", ">", false},
		"star before a tail":            {"*.b.>", "a.b.c", true},
		"star does not cover all":       {"*", ">", false},
		"prefix of a token":             {"a", "ab", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.cover.Covers(c.pattern); got != c.want {
				t.Errorf("%s covers %s: %v", c.cover, c.pattern, got)
			}
		})
	}
}

// TestCoversIsWhatMatches: over all short patterns, one covers another if and only if it matches
// every topic that the other does.
func TestCoversIsWhatMatches(t *testing.T) {
	var topics, patterns []string
	patterns = append(patterns, "a", "b", "c", "*", ">")
	for range 2 { // up to three tokens
		for _, p := range patterns {
			if strings.HasSuffix(p, ">") {
				continue
			}
			for _, token := range []string{"a", "b", "*", ">"} {
				patterns = append(patterns, p+"."+token)
			}
		}
	}
	// Longer ones than all patterns, with tokens that no pattern names.
	tokens := []string{"a", "b", "c", "z"}
	topics = append(topics, tokens...)
	for begin, length := 0, 2; length <= 4; length++ {
		end := len(topics)
		for _, topic := range topics[begin:end] {
			for _, token := range tokens {
				topics = append(topics, topic+"."+token)
			}
		}
		begin = end
	}
	for _, cover := range patterns {
		for _, pattern := range patterns {
			want := true
			for _, topic := range topics {
				if Pattern(pattern).Matches(Topic(topic)) && !Pattern(cover).Matches(Topic(topic)) {
					want = false
					break
				}
			}
			if got := Pattern(cover).Covers(Pattern(pattern)); got != want {
				t.Fatalf("%s covers %s: %v, want %v", cover, pattern, got, want)
			}
		}
	}
}

// TestScopes: nothing allows nothing, and what is allowed has to be covered by one scope alone.
func TestScopes(t *testing.T) {
	s := &Scopes{Publish: []Pattern{"a.*"}, Subscribe: []Pattern{"b", "b.>"}}
	var nothing *Scopes
	for name, c := range map[string]struct{ got, want bool }{
		"publish":                         {s.MayPublish("a.b"), true},
		"publish more":                    {s.MayPublish("a.b.c"), false},
		"subscribe to one":                {s.MaySubscribe("b"), true},
		"subscribe to a part":             {s.MaySubscribe("b.*"), true},
		"subscribe to more":               {s.MaySubscribe("*"), false},
		"subscribe to what one publishes": {s.MaySubscribe("a.b"), false},
		"administer":                      {s.IsAdmin(), false},
		"nothing publishes":               {nothing.MayPublish("a"), false},
		"nothing subscribes":              {nothing.MaySubscribe("a"), false},
		"nothing administers":             {nothing.IsAdmin(), false},
		"zero publishes":                  {new(Scopes).MayPublish("a"), false},
		"all publishes":                   {AllScopes().MayPublish("a.b"), true},
		"all subscribes":                  {AllScopes().MaySubscribe(">"), true},
		"all administers":                 {AllScopes().IsAdmin(), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", name, c.got)
		}
	}
}

// TestCaller: who may not is told so, and a stranger that it should say who it is.
func TestCaller(t *testing.T) {
	ada := Caller{User: "ada", Scopes: &Scopes{Publish: []Pattern{"a"}, Subscribe: []Pattern{"a.>"}}}
	stranger := Caller{Scopes: &Scopes{Subscribe: []Pattern{"open"}}}
	for name, c := range map[string]struct {
		err  error
		want Code
	}{
		"publish":                {ada.MayPublish("a"), ""},
		"publish elsewhere":      {ada.MayPublish("b"), CodeForbidden},
		"publish something":      {ada.MayPublishSome(), ""},
		"subscribe":              {ada.MaySubscribe("a.b", "a.*"), ""},
		"subscribe to one of":    {ada.MaySubscribe("a.b", "c"), CodeForbidden},
		"administer":             {ada.MayAdminister(), CodeForbidden},
		"a stranger subscribes":  {stranger.MaySubscribe("open"), ""},
		"a stranger wants more":  {stranger.MaySubscribe("open", "a"), CodeUnauthorized},
		"a stranger publishes":   {stranger.MayPublishSome(), CodeUnauthorized},
		"a stranger administers": {stranger.MayAdminister(), CodeUnauthorized},
		"the zero caller":        {Caller{}.MayPublish("a"), CodeUnauthorized},
	} {
		if c.err == nil && c.want == "" {
			continue
		}
		if c.err == nil || AsError(c.err).Code != c.want {
			t.Errorf("%s: %v, want %q", name, c.err, c.want)
		}
	}
}

func TestCheckUser(t *testing.T) {
	for name, good := range map[string]bool{
		"ada": true, "ada@example.org": true, "Ada Lovelace": true, "ädä": true, "": false, "a\nb": false, "a\x00": false,
		"\xff": false, strings.Repeat("a", MaxUserBytes): true, strings.Repeat("a", MaxUserBytes+1): false,
	} {
		if err := CheckUser(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
