package handlers

import (
	"net/http"

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
func (a *api) toSwagger(c *fiber.Ctx) error { return c.Redirect("/swagger/", http.StatusMovedPermanently) }

// swaggerSpec answers GET /swagger/doc.json.
func (a *api) swaggerSpec(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.SendString(docs.SwaggerInfo.ReadDoc())
}

// swaggerFile answers GET /swagger/{file} with Swagger UI's own files.
func (a *api) swaggerFile() fiber.Handler {
	files := filesystem.New(filesystem.Config{Root: http.FS(swaggerui.FS)})
	return func(c *fiber.Ctx) error {
		c.Path("/" + c.Params("file"))
		return files(c)
	}
}

// sendPage sends a page that no other page may put into a frame.
func sendPage(c *fiber.Ctx, page string) error {
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	return c.SendString(page)
}
