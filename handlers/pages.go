package handlers

import (
	"net/http"
	"path"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/filesystem"
	swaggerui "github.com/swaggo/files/v2"

	"fanfare/docs"
	"fanfare/web"
)

// console answers GET /.
func (a *api) console(c *fiber.Ctx) error { return sendPage(c, web.Console()) }

// swagger answers GET /swagger/ with our frame around Swagger UI, which unlike its own
// loads nothing from elsewhere.
func (a *api) swagger(c *fiber.Ctx) error { return sendPage(c, web.Swagger()) }

// toSwagger answers GET /swagger.
func (a *api) toSwagger(c *fiber.Ctx) error {
	return c.Redirect("/swagger/", http.StatusMovedPermanently)
}

// swaggerSpec answers GET /swagger/doc.json.
func (a *api) swaggerSpec(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	spec := *docs.SwaggerInfo // ReadDoc changes its receiver
	spec.Schemes = []string{scheme(c)}
	return c.SendString(spec.ReadDoc())
}

// swaggerFile answers for the two of Swagger UI's own files that our page needs. Its
// others are not for us: one loads an example from elsewhere.
func (a *api) swaggerFile(c *fiber.Ctx) error {
	return filesystem.SendFile(c, http.FS(swaggerui.FS), path.Base(c.Path()))
}

// sendPage sends a page that no other page may put into a frame.
func sendPage(c *fiber.Ctx, page string) error {
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	return c.SendString(page)
}
