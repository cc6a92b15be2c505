package handlers

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
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

// consoleFile answers GET /console/{file}: a script or the style of the console.
func (a *api) consoleFile() fiber.Handler {
	files := make(map[string]fiber.Handler)
	for name, text := range web.ConsoleFiles() {
		kind := fiber.MIMETextJavaScriptCharsetUTF8
		if path.Ext(name) == ".css" {
			kind = "text/css; charset=utf-8"
		}
		files[name] = a.file(kind, text)
	}
	return func(c *fiber.Ctx) error {
		file, ok := files[c.Params("file")]
		if !ok {
			return fiber.ErrNotFound
		}
		return file(c)
	}
}

// file answers with a part of a page, as GET /client.js does. Whoever has a copy asks each time whether it is still the
// same, so that pages are in one piece, and of the server's release. Compressed or not, the tag is the same, and weak.
func (a *api) file(kind, text string) fiber.Handler {
	sum := sha256.Sum256([]byte(text))
	tag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	small := compressed(text)
	return func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, kind)
		c.Set(fiber.HeaderCacheControl, "no-cache")
		c.Set(fiber.HeaderETag, tag)
		c.Vary(fiber.HeaderAcceptEncoding)
		switch {
		case c.Fresh():
			return c.SendStatus(http.StatusNotModified)
		case c.Get(fiber.HeaderAcceptEncoding) != "" && c.AcceptsEncodings("gzip") == "gzip":
			c.Set(fiber.HeaderContentEncoding, "gzip")
			return c.Send(small)
		default:
			return c.SendString(text)
		}
	}
}

func compressed(text string) []byte {
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	_, _ = w.Write([]byte(text)) // a buffer takes everything
	_ = w.Close()
	return small.Bytes()
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
