package natsengine

import (
	"context"

	"fanfare/models"
)

// FollowFrom is Follow from a place of the past.
func (e *Engine) FollowFrom(id models.ID) { e.follower.start(context.Background(), id) }

// DiskReserve is what is left free on a disk.
const DiskReserve = diskReserve

// WithSpace gives options under which the disk has as much free as a function says.
func WithSpace(o Options, space func() uint64) Options {
	o.space = func(string) (uint64, error) { return space(), nil }
	return o
}
