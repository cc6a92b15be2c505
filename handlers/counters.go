package handlers

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

// counters is what the handlers count for GET /metrics. Methods may be called concurrently.
type counters struct {
	// Set by newCounters, never changed.
	refusals map[models.Code]*atomic.Uint64
	frames   map[models.Action]*atomic.Uint64

	// answers is replaced when there is one that it has not: whoever counts takes no lock for
	// that. mu is for those who replace it.
	mu      sync.Mutex
	answers atomic.Pointer[map[answer]*atomic.Uint64]
}

// answer is what HTTP answers are told apart by.
type answer struct {
	// route is nil for a request that could not be read.
	route *fiber.Route
	// routed tells that the route is the one that the request was for, and not only what stood
	// before all routes.
	routed bool
	status int
}

func newCounters() *counters {
	c := &counters{
		refusals: make(map[models.Code]*atomic.Uint64),
		frames:   make(map[models.Action]*atomic.Uint64),
	}
	for _, code := range models.Codes() {
		c.refusals[code] = new(atomic.Uint64)
	}
	for _, action := range append(models.Actions(), unknownAction) {
		c.frames[action] = new(atomic.Uint64)
	}
	c.answers.Store(&map[answer]*atomic.Uint64{})
	return c
}

// unknownAction stands for all that the server does not know, whatever they are called.
const unknownAction models.Action = "unknown"

// countRefusal counts a problem, or an error frame.
func (c *counters) countRefusal(code models.Code) { c.refusals[code].Add(1) }

// countFrame counts a frame of a client.
func (c *counters) countFrame(action models.Action) {
	n := c.frames[action]
	if n == nil {
		n = c.frames[unknownAction]
	}
	n.Add(1)
}

// countAnswer counts the answer to a request that routes have seen.
func (c *counters) countAnswer(request *fiber.Ctx, status int) {
	route := request.Route()
	// What stands before all routes has the path of the first.
	c.count(answer{route: route, routed: route.Path != "/" || request.Path() == "/", status: status})
}

func (c *counters) count(a answer) {
	n, found := (*c.answers.Load())[a]
	if !found {
		n = c.add(a)
	}
	n.Add(1)
}

// add gives an answer a counter, unless somebody else just has.
func (c *counters) add(a answer) *atomic.Uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.answers.Load()
	if n, found := old[a]; found {
		return n
	}
	answers := maps.Clone(old)
	answers[a] = new(atomic.Uint64)
	c.answers.Store(&answers)
	return answers[a]
}
