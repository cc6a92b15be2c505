package natsengine

import (
	"context"

	"fanfare/models"
)

// FollowFrom is Follow from a place of the past.
func (e *Engine) FollowFrom(id models.ID) { e.follower.start(context.Background(), id) }
