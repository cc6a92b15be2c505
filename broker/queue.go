package broker

import "sync"

// event is one entry of a shard's queue: a message to deliver, or a change to apply
// between two messages.
type event struct {
	delivery *delivery
	apply    func(*shard)
}

// queue holds what a shard has yet to do, in order. It grows as needed: messages are
// bounded by the budget, changes by one at a time for each client. Beside it stand the
// clients whose connections have room again: they do not wait for their turn.
type queue struct {
	// wake has room for one signal that there is something to take.
	wake chan struct{}

	mu       sync.Mutex
	events   []event
	withRoom []*Client
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1)}
}

func (q *queue) push(e event) {
	q.mu.Lock()
	q.events = append(q.events, e)
	q.mu.Unlock()
	q.signal()
}

// room says that a client's connection has room again.
func (q *queue) room(c *Client) {
	q.mu.Lock()
	q.withRoom = append(q.withRoom, c)
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) isEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events) == 0
}

// take gives everything queued, and leaves the emptied slice to be filled next.
func (q *queue) take(emptied []event) []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := q.events
	q.events = emptied[:0]
	return events
}

// takeWithRoom gives the clients whose connections have room again, and leaves the
// emptied slice to be filled next.
func (q *queue) takeWithRoom(emptied []*Client) []*Client {
	q.mu.Lock()
	defer q.mu.Unlock()
	clients := q.withRoom
	q.withRoom = emptied[:0]
	return clients
}
