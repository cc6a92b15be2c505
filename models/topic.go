package models

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTopicBytes is the longest topic or pattern, in bytes of UTF-8.
const MaxTopicBytes = 255

// Wildcard tokens of a pattern.
const (
	// AnyToken stands for exactly one whole token.
	AnyToken = "*"
	// AnyTail stands for one or more tokens at the end.
	AnyTail = ">"
)

// Topic is a name a message is published to: dot-separated tokens, case-sensitive.
// Only ParseTopic makes one from foreign text.
type Topic string

// Pattern is what a client subscribes to: a topic, or one with wildcards.
// Only ParsePattern makes one from foreign text.
type Pattern string

// ParseTopic checks text against the rules for topics. Its error has CodeInvalidTopic.
func ParseTopic(text string) (Topic, error) {
	if err := parseTokens(text, false); err != nil {
		return "", err
	}
	return Topic(text), nil
}

// ParsePattern checks text against the rules for patterns. Its error has CodeInvalidTopic.
func ParsePattern(text string) (Pattern, error) {
	if err := parseTokens(text, true); err != nil {
		return "", err
	}
	return Pattern(text), nil
}

// HasWildcard tells whether the pattern stands for more than one topic.
func (p Pattern) HasWildcard() bool {
	return strings.ContainsAny(string(p), AnyToken+AnyTail)
}

// Prefix is the text that every topic matching the pattern begins with.
func (p Pattern) Prefix() string {
	if i := strings.IndexAny(string(p), AnyToken+AnyTail); i >= 0 {
		return string(p[:i])
	}
	return string(p)
}

// Matches tells whether a message published to the topic is one the pattern asks for.
func (p Pattern) Matches(t Topic) bool {
	pattern, topic := string(p), string(t)
	for {
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		if want == AnyTail {
			return true
		}
		have, topicRest, topicMore := strings.Cut(topic, ".")
		if want != AnyToken && want != have {
			return false
		}
		if patternMore != topicMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, topic = patternRest, topicRest
	}
}

func parseTokens(text string, wildcards bool) error {
	switch {
	case text == "":
		return Errorf(CodeInvalidTopic, "a topic must not be empty")
	case len(text) > MaxTopicBytes:
		return Errorf(CodeInvalidTopic, "a topic has at most %d bytes", MaxTopicBytes)
	case !utf8.ValidString(text):
		return Errorf(CodeInvalidTopic, "a topic must be valid UTF-8")
	case text[0] == '$':
		return Errorf(CodeInvalidTopic, "topics that begin with $ are reserved")
	}
	for rest, more := text, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		if err := checkToken(token, more, wildcards); err != nil {
			return err
		}
	}
	return nil
}

// checkToken checks one token; more tells that others follow it.
func checkToken(token string, more, wildcards bool) error {
	if token == "" {
		return Errorf(CodeInvalidTopic, "a topic must not have an empty token: no dot at its ends, no two in a row")
	}
	if wildcards && token == AnyToken {
		return nil
	}
	if wildcards && token == AnyTail {
		if more {
			return Errorf(CodeInvalidTopic, "> stands only at the end of a pattern")
		}
		return nil
	}
	for _, r := range token {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return Errorf(CodeInvalidTopic, "a topic must not have white space or control characters")
		case (r == '*' || r == '>') && wildcards:
			return Errorf(CodeInvalidTopic, "a wildcard, * or >, must be a whole token")
		case r == '*' || r == '>':
			return Errorf(CodeInvalidTopic, "a topic must not have wildcards: * and > are for subscriptions")
		}
	}
	return nil
}
