package handlers

import "github.com/gofiber/fiber/v2"

// health is the answer of the probes.
type health struct {
	Status string `json:"status" example:"ok"`
}

// live answers GET /livez.
//
//	@Summary	Is the process alive?
//	@ID		checkLive
//	@Tags		operations
//	@Produce	json
//	@Success	200	{object}	health
//	@Router		/livez [get]
func (a *api) live(c *fiber.Ctx) error {
	return c.JSON(health{Status: "ok"})
}

// ready answers GET /readyz.
//
//	@Summary	Does the server want traffic?
//	@ID		checkReady
//	@Tags		operations
//	@Produce	json
//	@Success	200	{object}	health
//	@Failure	503	{object}	models.Problem	"shutting_down, engine_unavailable"
//	@Router		/readyz [get]
func (a *api) ready(c *fiber.Ctx) error {
	if err := a.Ready(c.UserContext()); err != nil {
		return err
	}
	return c.JSON(health{Status: "ok"})
}
