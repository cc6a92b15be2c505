package handlers

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

// maxLogLevel bounds the body of PUT /log/level, in bytes.
const maxLogLevel = 1 << 10

// logLevel is the least that is logged.
type logLevel struct {
	Level string `json:"level" enums:"debug,info,warn,error" example:"debug"`
}

// getLogLevel answers GET /log/level.
//
//	@Summary	What is logged?
//	@ID			getLogLevel
//	@Tags		operations
//	@Produce	json
//	@Success	200	{object}	logLevel
//	@Failure	401	{object}	models.Problem	"unauthorized"
//	@Failure	403	{object}	models.Problem	"forbidden"
//	@Failure	429	{object}	models.Problem	"rate_limited"
//	@Security	Bearer
//	@Router		/log/level [get]
func (a *api) getLogLevel(c *fiber.Ctx) error {
	return c.JSON(logLevel{Level: strings.ToLower(a.LogLevel.Level().String())})
}

// setLogLevel answers PUT /log/level.
//
//	@Summary		Log more, or less
//	@ID				setLogLevel
//	@Description	Sets the least that this node logs, until it ends or reads its configuration again.
//	@Tags			operations
//	@Accept			json
//	@Produce		json
//	@Param			level	body		logLevel	true	"debug, info, warn or error"
//	@Success		200		{object}	logLevel
//	@Failure		400		{object}	models.Problem	"invalid_json, invalid_request"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		413		{object}	models.Problem	"payload_too_large"
//	@Failure		415		{object}	models.Problem	"unsupported_encoding"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Security		Bearer
//	@Router			/log/level [put]
func (a *api) setLogLevel(c *fiber.Ctx) error {
	body, err := a.bodies.read(c, maxLogLevel)
	if err != nil {
		return err
	}
	defer body.release()
	var want logLevel
	if err := json.Unmarshal(body.bytes, &want, json.RejectUnknownMembers(true)); err != nil {
		return describeMismatch("a log level", err)
	}
	var level slog.Level
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, want.Level) || level.UnmarshalText([]byte(want.Level)) != nil {
		return models.Errorf(models.CodeInvalidRequest, "level is debug, info, warn or error")
	}
	a.auditRequest(c, "set_log_level", "level", want.Level)
	a.LogLevel.Set(level)
	return a.getLogLevel(c)
}
