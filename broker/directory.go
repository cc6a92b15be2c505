package broker

import (
	"strings"
	"sync"

	"github.com/tidwall/btree"
)

// directory is an ordered index of names. A page of it is read from a snapshot that
// costs nothing to take, so a long list holds up nobody. Methods may be called
// concurrently; the values look after themselves.
type directory[V any] struct {
	mu      sync.Mutex
	entries btree.Map[string, V]
}

func (d *directory[V]) set(name string, value V) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries.Set(name, value)
}

// delete tells whether the name was there.
func (d *directory[V]) delete(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, found := d.entries.Delete(name)
	return found
}

func (d *directory[V]) get(name string) (V, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entries.Get(name)
}

func (d *directory[V]) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entries.Len()
}

func (d *directory[V]) snapshot() *btree.Map[string, V] {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entries.Copy()
}

// each visits in order the names after one and with a prefix, until visit is false.
func (d *directory[V]) each(after, prefix string, visit func(name string, value V) bool) {
	d.snapshot().Ascend(max(after, prefix), func(name string, value V) bool {
		if name == after && after != "" {
			return true
		}
		return strings.HasPrefix(name, prefix) && visit(name, value)
	})
}
