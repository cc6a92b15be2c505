package broker

import "time"

const (
	// maxSlots is how many slots a heartbeat has, unless its interval is very short.
	maxSlots = 64
	// minTick is the shortest time between two slots.
	minTick = time.Millisecond
)

// heartbeat has a shard's clients, spread over slots like the teeth of a wheel. Every
// tick brings up the next slot, and all of them come up once in an interval. So a tick
// costs what is due and no more. It counts ticks and looks at no clock: a clock that is
// set changes nothing, and a process that stood still goes on where it was. Its shard
// owns it.
type heartbeat struct {
	tick  time.Duration
	slots [][]*Client
	// at is the slot that came up last.
	at      int
	clients int
}

// beat is a client's place in a heartbeat.
type beat struct {
	// index is the place in the slot, -1 without one.
	index int32
	slot  uint8
	// seen tells that the slot came up since the client took its place.
	seen bool
	// delivered and position are what the client had and the log was at, then.
	delivered, position uint64
}

func newHeartbeat(interval time.Duration) *heartbeat {
	slots := min(max(int64(interval/minTick), 1), maxSlots)
	// Rounded up, or the wheel would turn too fast.
	tick := max((interval+time.Duration(slots)-1)/time.Duration(slots), minTick)
	return &heartbeat{tick: tick, slots: make([][]*Client, slots)}
}

// add gives a client its place, in the slot that comes up next.
func (h *heartbeat) add(c *Client) {
	slot := (h.at + 1) % len(h.slots)
	c.beat = beat{index: int32(len(h.slots[slot])), slot: uint8(slot)} //nolint:gosec // both fit by far
	h.slots[slot] = append(h.slots[slot], c)
	h.clients++
}

// remove takes the client's place away, and tells whether it had one.
func (h *heartbeat) remove(c *Client) bool {
	if c.beat.index < 0 {
		return false
	}
	slot := h.slots[c.beat.slot]
	last := len(slot) - 1
	slot[c.beat.index] = slot[last]
	slot[c.beat.index].beat.index = c.beat.index
	slot[last] = nil
	h.slots[c.beat.slot] = slot[:last]
	c.beat.index = -1
	h.clients--
	return true
}

// next brings up the next slot and visits its clients, except for those that have come
// since it was up last: their turn is a whole interval after they came. A visit must not
// remove a client.
func (h *heartbeat) next(visit func(*Client)) {
	h.at = (h.at + 1) % len(h.slots)
	for _, c := range h.slots[h.at] {
		if c.beat.seen {
			visit(c)
		}
		c.beat.seen = true
	}
}
