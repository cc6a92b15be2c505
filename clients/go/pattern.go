package fanfare

import "strings"

// matches tells whether a topic is one that the pattern stands for: * is one token, and > one or more at
// the end.
func matches(pattern, topic string) bool {
	for {
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		if want == ">" {
			return true
		}
		have, topicRest, topicMore := strings.Cut(topic, ".")
		if want != "*" && want != have || patternMore != topicMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, topic = patternRest, topicRest
	}
}
