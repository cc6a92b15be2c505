package models

import (
	"slices"
	"strings"
)

// Scopes is what somebody may do. The zero value is nothing.
type Scopes struct {
	// Publish has the topics that may be published to.
	Publish []Pattern
	// Subscribe has the topics that may be listened to, and whose history and members may be
	// read.
	Subscribe []Pattern
	// Admin tells whether clients and topics may be listed, disconnected and purged. It does
	// not include the others.
	Admin bool
}

// AllScopes is everything there is to be allowed.
func AllScopes() *Scopes {
	return &Scopes{Publish: []Pattern{AnyTail}, Subscribe: []Pattern{AnyTail}, Admin: true}
}

// MayPublish tells whether a message may be published to the topic.
func (s *Scopes) MayPublish(t Topic) bool {
	return s != nil && slices.ContainsFunc(s.Publish, func(p Pattern) bool { return p.Matches(t) })
}

// MaySubscribe tells whether one of the scopes covers the whole pattern: several that do
// only together are not enough.
func (s *Scopes) MaySubscribe(pattern Pattern) bool {
	return s != nil && slices.ContainsFunc(s.Subscribe, func(p Pattern) bool { return p.Covers(pattern) })
}

// IsAdmin tells whether Admin is set.
func (s *Scopes) IsAdmin() bool { return s != nil && s.Admin }

// Covers tells whether every topic that matches the other pattern matches this one, too.
func (p Pattern) Covers(other Pattern) bool {
	cover, pattern := string(p), string(other)
	for {
		have, coverRest, coverMore := strings.Cut(cover, ".")
		if have == AnyTail {
			return true
		}
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		if want == AnyTail || have != AnyToken && have != want || coverMore != patternMore {
			return false
		}
		if !coverMore {
			return true
		}
		cover, pattern = coverRest, patternRest
	}
}
