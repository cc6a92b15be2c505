package broker

import (
	"sync/atomic"

	"fanfare/models"
)

// maxShards is how many shards a set of them has room for.
const maxShards = 64

// interest counts who is subscribed to one pattern.
type interest struct {
	// Read by anybody.
	subscribers atomic.Int64

	// Guarded by dispatcher.mu.
	byShard []int32
	shards  shardSet
}

// shardSet is a set of shards, a bit each.
type shardSet uint64

// interests knows, for every topic, which shards want its messages. Methods need
// dispatcher.mu, but topics may be read without.
type interests struct {
	shardCount int
	patterns   *patternMap[*interest]
	// topics has the patterns that are topics: patterns do not create topics.
	topics directory[*interest]
}

func newInterests(shardCount int) *interests {
	return &interests{shardCount: shardCount, patterns: newPatternMap[*interest]()}
}

func (in *interests) add(p models.Pattern, shard int) {
	i, found := in.patterns.get(p)
	if !found {
		i = &interest{byShard: make([]int32, in.shardCount)}
		in.patterns.set(p, i)
		if !p.HasWildcard() {
			in.topics.set(string(p), i)
		}
	}
	i.byShard[shard]++
	i.shards |= 1 << shard
	i.subscribers.Add(1)
}

func (in *interests) remove(p models.Pattern, shard int) {
	i, _ := in.patterns.get(p)
	if i.byShard[shard]--; i.byShard[shard] == 0 {
		i.shards &^= 1 << shard
	}
	if i.subscribers.Add(-1) == 0 {
		in.patterns.delete(p)
		if !p.HasWildcard() {
			in.topics.delete(string(p))
		}
	}
}

// match tells which shards want a message to the topic, and how many subscriptions.
func (in *interests) match(t models.Topic) (shards shardSet, subscriptions int) {
	in.patterns.match(t, func(i *interest) {
		shards |= i.shards
		subscriptions += int(i.subscribers.Load())
	})
	return shards, subscriptions
}
