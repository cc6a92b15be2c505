package broker

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"fanfare/models"
)

const (
	// keyOverhead is what a remembered key costs, in bytes, roughly.
	keyOverhead = 256
	// keyShare is which part of the log's size keys may take beside it.
	keyShare = 4
)

// keys remembers for a while what was published under idempotency keys. Of everything
// that can be long it has hashes alone, so that each key costs the same. When there are
// too many, the oldest is forgotten before its time. Methods need the lock of the engine.
type keys struct {
	// Set by newKeys, never changed.
	window time.Duration
	limit  int64

	byName map[digest]*keyed
	// oldest and latest end a list of all count keys in their order, which is the one
	// that they are forgotten in.
	oldest, latest *keyed
	count          int64
}

type digest [sha256.Size]byte

// keyUse is a draft with a key: name tells its publisher, topic and key from all others,
// content its data, encoding and event.
type keyUse struct{ name, content digest }

// keyed is what was published under a key.
type keyed struct {
	keyUse
	sequence    uint64
	time        models.Timestamp
	subscribers int
	later       *keyed
}

func newKeys(history History) *keys {
	return &keys{
		window: history.IdempotencyWindow,
		limit:  history.MaxBytes / keyShare / keyOverhead,
		byName: make(map[digest]*keyed),
	}
}

// useKey gives the use that a draft makes of its key.
func useKey(draft models.Draft) keyUse {
	return keyUse{
		name:    hash([]byte(draft.From), []byte(draft.Topic), []byte(draft.Key)),
		content: hash([]byte(draft.Encoding), draft.Data, draft.Attributes.EventText()),
	}
}

// hash gives a digest of texts that no other texts have.
func hash(texts ...[]byte) (d digest) {
	h := sha256.New()
	for _, text := range texts {
		h.Write(binary.AppendUvarint(nil, uint64(len(text))))
		h.Write(text)
	}
	h.Sum(d[:0])
	return d
}

// find gives what was published under the same key within the window, nil if nothing was.
func (k *keys) find(name digest, now time.Time) *keyed {
	if found := k.byName[name]; found != nil && now.Sub(found.time.Time) < k.window {
		return found
	}
	return nil
}

// add remembers what was published under a key, which find does not find.
func (k *keys) add(use keyUse, m *models.Message, subscribers int) {
	k.expire(m.Time.Time, 2)
	added := &keyed{keyUse: use, sequence: m.ID.Sequence, time: m.Time, subscribers: subscribers}
	if k.latest == nil {
		k.oldest = added
	} else {
		k.latest.later = added
	}
	k.latest = added
	k.byName[use.name] = added
	if k.count++; k.count > k.limit {
		k.forgetOldest()
	}
}

// expire forgets keys whose window is over, at most limit, and tells whether there are
// more of them.
func (k *keys) expire(now time.Time, limit int) (more bool) {
	for ; k.oldest != nil && now.Sub(k.oldest.time.Time) >= k.window; limit-- {
		if limit == 0 {
			return true
		}
		k.forgetOldest()
	}
	return false
}

func (k *keys) forgetOldest() {
	forgotten := k.oldest
	if k.byName[forgotten.name] == forgotten { // not if it was used again after its window
		delete(k.byName, forgotten.name)
	}
	if k.oldest = forgotten.later; k.oldest == nil {
		k.latest = nil
	}
	k.count--
}
