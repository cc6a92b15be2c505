package natsengine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fanfare/models"
)

const (
	// diskReserve is what is left free on the disk, in bytes, for what JetStream writes beside messages.
	diskReserve = 64 << 20
	// diskLook is how much is written, in bytes, and diskInterval for how long, without another look.
	diskLook     = 1 << 20
	diskInterval = 100 * time.Millisecond
	// maxRoom is more room than matters.
	maxRoom = 1 << 30
)

// guard keeps the server in this process from writing while it could not: one write that fails, since the
// disk is full, say, and its stream takes nothing more. Others may read meanwhile. Its methods may be called
// concurrently.
type guard struct {
	// Set by watch, never changed. Without a server the disks are somebody else's.
	server *embeddedServer
	space  func(path string) (uint64, error)
	logger *slog.Logger

	mu sync.Mutex
	// looked is when the disk was looked at, room what it had room for then, and written what was let in since.
	// underWay is what was let in and may not be on the disk yet. All are bytes.
	looked                  time.Time
	room, written, underWay int
	// full is why there is no room, shut why the log takes nothing whatever room there is, and reason the
	// same for operators.
	full, shut, reason error

	// telling is held by the one who tells what has changed, and locked before mu. told is that
	// publishes are refused, as far as others know.
	telling sync.Mutex
	told    bool
}

// watch has the guard look after a server. Until open is called it lets nothing in.
func (g *guard) watch(server *embeddedServer, options Options) {
	g.server, g.logger, g.space, g.shut = server, options.Logger, options.space, errUnwritable()
	if g.space == nil {
		g.space = free
	}
}

func errFull() error {
	return &models.Error{Code: models.CodeEngineUnavailable, Message: "the disk of the log is full", RetryAfter: time.Second}
}

func errUnwritable() error {
	return &models.Error{Code: models.CodeEngineUnavailable, Message: "the log cannot be written to", RetryAfter: time.Second}
}

// run looks at the disk all the time, for those who publish past the engine.
func (g *guard) run(ctx context.Context) {
	ticker := time.NewTicker(diskInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = g.check()
		case <-ctx.Done():
			return
		}
	}
}

// check fails if nothing may be written now.
func (g *guard) check() error { return g.admit(0) }

// leave is for a message that was let in: it is on the disk, or will not come there.
func (g *guard) leave(size int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underWay -= size
}

// admit lets a message of so many bytes in, or fails.
func (g *guard) admit(size int) error {
	if g.server == nil {
		return nil
	}
	looked, err := g.count(size)
	if looked {
		g.tell()
	}
	return err
}

// count counts a message that it lets in.
func (g *guard) count(size int) (looked bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if looked = g.written+size >= diskLook || time.Since(g.looked) >= diskInterval; looked {
		g.lookLocked()
	}
	err = cmp.Or(g.full, g.shut)
	if err == nil && size > 0 && g.written+size > g.room {
		err = errFull() // when all that is under way is there
	}
	if err == nil {
		g.written += size
		g.underWay += size
	}
	return looked, err
}

func (g *guard) lookLocked() {
	g.looked, g.written, g.full = time.Now(), 0, nil
	space, err := g.space(g.server.store.dir)
	switch {
	case err != nil:
		g.full, g.reason = errUnwritable(), err
	case space < diskReserve:
		g.full, g.reason = errFull(), fmt.Errorf("%d bytes are left, %d are kept free", space, diskReserve)
	default:
		g.room = int(min(space-diskReserve, maxRoom)) - g.underWay
	}
}

// makeWay has something small written that makes room, even if there is none: the reserve has some.
func (g *guard) makeWay(write func() error) error {
	if g.server == nil {
		return write()
	}
	if isOpen, _ := g.isOpen(); !isOpen {
		return errUnwritable()
	}
	g.telling.Lock()
	defer g.telling.Unlock()
	if g.told {
		g.server.takeMessages(true)
		defer g.server.takeMessages(false)
	}
	return write()
}

// close lets nothing in any more, because of an error that is for the log.
func (g *guard) close(why error) {
	g.mu.Lock()
	g.shut, g.reason = errUnwritable(), why
	g.mu.Unlock()
	g.tell()
}

// open lets in what there is room for.
func (g *guard) open() {
	g.mu.Lock()
	g.shut = nil
	g.lookLocked()
	g.mu.Unlock()
	g.tell()
}

// isOpen tells whether the log takes what there is room for, and hasRoom whether there is any.
func (g *guard) isOpen() (isOpen, hasRoom bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lookLocked()
	return g.shut == nil, g.full == nil
}

// tell has other NATS clients and the operator know of a change.
func (g *guard) tell() {
	g.telling.Lock()
	defer g.telling.Unlock()
	g.mu.Lock()
	refusing, reason := g.full != nil || g.shut != nil, g.reason
	g.mu.Unlock()
	if refusing == g.told {
		return
	}
	g.told = refusing
	g.server.takeMessages(!refusing)
	if refusing {
		g.logger.Error("publishes_refused", "store_dir", g.server.store.dir, "reason", reason)
	} else {
		g.logger.Info("publishes_taken", "store_dir", g.server.store.dir)
	}
}
