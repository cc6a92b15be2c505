package handlers

import (
	"context"
	"log/slog"

	"fanfare/broker"
	"fanfare/models"
)

// logLeft logs that a client has left, and why. What the server did to it for cause is to
// be seen by default, the daily coming and going is not.
func (a *api) logLeft(c *broker.Client, reason models.CloseCode) {
	level := slog.LevelDebug
	switch reason {
	case models.CloseSlowConsumer, models.ClosePingTimeout:
		level = slog.LevelInfo
	case models.CloseInternal:
		level = slog.LevelError
	}
	if !a.Logger.Enabled(context.Background(), level) {
		return
	}
	info := c.Info()
	a.Logger.Log(context.Background(), level, "client_closed",
		"client_id", info.ID, "user", info.User, "remote_address", info.RemoteAddress,
		"code", uint16(reason), "reason", reason.String(), "delivered", info.Delivered, "dropped", info.Dropped)
}
