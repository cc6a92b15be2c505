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

// page answers GET / and GET /swagger/: with the console, and with our frame around Swagger
// UI, which unlike its own loads nothing from elsewhere. No other page may put them into a
// frame, or keep a hold on the window that they are in.
func (a *api) page(page web.Page) fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
		c.Set(fiber.HeaderContentSecurityPolicy, page.Policy)
		c.Set("Cross-Origin-Opener-Policy", "same-origin")
		c.Set(fiber.HeaderXFrameOptions, "DENY")
		c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
		return c.SendString(page.HTML)
	}
}

// toSwagger answers GET /swagger.
func (a *api) toSwagger(c *fiber.Ctx) error {
	return c.Redirect("/swagger/", http.StatusMovedPermanently)
}

// swaggerSpec answers GET /swagger/doc.json.
func (a *api) swaggerSpec(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	spec := *docs.SwaggerInfo // ReadDoc changes its receiver
	spec.Schemes = []string{a.schemeOf(c)}
	return c.SendString(spec.ReadDoc())
}

// swaggerFile answers for the two of Swagger UI's own files that our page needs. Its
// others are not for us: one loads an example from elsewhere.
func (a *api) swaggerFile(c *fiber.Ctx) error {
	return filesystem.SendFile(c, http.FS(swaggerui.FS), path.Base(c.Path()))
}
