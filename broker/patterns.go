package broker

import (
	"strings"

	"fanfare/models"
)

// patternMap maps patterns to values, and finds the values of all the patterns that
// match a topic: an exact map, and a trie that holds the wildcard patterns only and
// is skipped when there are none. It is not safe for concurrent use.
type patternMap[V any] struct {
	exact     map[models.Pattern]V
	wildcards trieNode[V]
	// wildcardCount counts the patterns in the trie.
	wildcardCount int
}

// trieNode is a place in the trie, reached by the tokens of a pattern so far.
type trieNode[V any] struct {
	children map[string]*trieNode[V]
	value    V
	present  bool
}

func newPatternMap[V any]() *patternMap[V] {
	return &patternMap[V]{exact: make(map[models.Pattern]V)}
}

func (m *patternMap[V]) get(p models.Pattern) (value V, found bool) {
	if !p.HasWildcard() {
		value, found = m.exact[p]
		return value, found
	}
	node := &m.wildcards
	for token := range strings.SplitSeq(string(p), ".") {
		if node = node.children[token]; node == nil {
			return value, false
		}
	}
	return node.value, node.present
}

func (m *patternMap[V]) set(p models.Pattern, value V) {
	if !p.HasWildcard() {
		m.exact[p] = value
		return
	}
	node := &m.wildcards
	for token := range strings.SplitSeq(string(p), ".") {
		child := node.children[token]
		if child == nil {
			child = &trieNode[V]{}
			if node.children == nil {
				node.children = make(map[string]*trieNode[V])
			}
			node.children[token] = child
		}
		node = child
	}
	if !node.present {
		m.wildcardCount++
	}
	node.value, node.present = value, true
}

func (m *patternMap[V]) delete(p models.Pattern) {
	if !p.HasWildcard() {
		delete(m.exact, p)
		return
	}
	if m.wildcards.delete(string(p)) {
		m.wildcardCount--
	}
}

// delete forgets the pattern whose remaining tokens are rest, and prunes the branch.
func (n *trieNode[V]) delete(rest string) (deleted bool) {
	token, rest, more := strings.Cut(rest, ".")
	child := n.children[token]
	if child == nil {
		return false
	}
	if more {
		deleted = child.delete(rest)
	} else {
		deleted = child.present
		var none V
		child.value, child.present = none, false
	}
	if !child.present && len(child.children) == 0 {
		delete(n.children, token)
	}
	return deleted
}

// match visits the value of every pattern that matches the topic.
func (m *patternMap[V]) match(t models.Topic, visit func(V)) {
	if value, found := m.exact[models.Pattern(t)]; found {
		visit(value)
	}
	if m.wildcardCount > 0 {
		m.wildcards.match(string(t), visit)
	}
}

func (n *trieNode[V]) match(rest string, visit func(V)) {
	if tail := n.children[models.AnyTail]; tail != nil && tail.present {
		visit(tail.value)
	}
	token, rest, more := strings.Cut(rest, ".")
	for _, key := range [...]string{token, models.AnyToken} {
		child := n.children[key]
		switch {
		case child == nil:
		case more:
			child.match(rest, visit)
		case child.present:
			visit(child.value)
		}
	}
}

// each visits every value, in no order.
func (m *patternMap[V]) each(visit func(V)) {
	for _, value := range m.exact {
		visit(value)
	}
	m.wildcards.each(visit)
}

func (n *trieNode[V]) each(visit func(V)) {
	if n.present {
		visit(n.value)
	}
	for _, child := range n.children {
		child.each(visit)
	}
}
