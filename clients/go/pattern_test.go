package fanfare

import "testing"

func TestMatches(t *testing.T) {
	tests := map[string]struct {
		pattern, topic string
		want           bool
	}{
		"the topic itself":             {"news.eu", "news.eu", true},
		"another case":                 {"news.eu", "news.EU", false},
		"a longer topic":               {"news", "news.eu", false},
		"a shorter topic":              {"news.eu", "news", false},
		"star is one token":            {"news.*", "news.eu", true},
		"star is not two tokens":       {"news.*", "news.eu.sport", false},
		"star is not none":             {"news.*", "news", false},
		"star in the middle":           {"*.eu.*", "news.eu.sport", true},
		"tail is one token":            {"news.>", "news.eu", true},
		"tail is several tokens":       {"news.>", "news.eu.sport", true},
		"tail is not none":             {"news.>", "news", false},
		"tail alone":                   {">", "news", true},
		"a token that begins the same": {"news", "newspaper", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := matches(tt.pattern, tt.topic); got != tt.want {
				t.Errorf("%s and %s: %v", tt.pattern, tt.topic, got)
			}
		})
	}
}
