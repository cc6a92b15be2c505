package handlers

import (
	"github.com/gofiber/fiber/v2"

	"fanfare/docs"
)

// openAPI answers GET /openapi.json.
//
//	@Summary		What this server speaks over HTTP
//	@ID				getOpenAPI
//	@Description	This document: OpenAPI 3.0.
//	@Tags			specifications
//	@Param			If-None-Match	header	string	false	"the ETag of the copy that you have"
//	@Produce		json
//	@Success		200	{object}	object	"the document"
//	@Header			200	{string}	ETag	"stands for the document"
//	@Header			200	{string}	Vary	"Accept-Encoding: it is compressed for who can read that"
//	@Success		304	"the copy is still the same"
//	@Header			304	{string}	ETag	"stands for the document"
//	@Header			304	{string}	Vary	"Accept-Encoding"
//	@Failure		429	{object}	models.Problem	"rate_limited"
//	@x-responses	{"200":{"content":{"application/json":{"example":{"openapi":"3.0.3","info":{"title":"Fanfare","version":"1.0"},"paths":{}}}}}}
//	@Router			/openapi.json [get]
func (a *api) openAPI() fiber.Handler { return a.file(fiber.MIMEApplicationJSON, docs.OpenAPI()) }

// asyncAPI answers GET /asyncapi.json.
//
//	@Summary		What this server speaks over its connections
//	@ID				getAsyncAPI
//	@Description	The frames of GET /ws and GET /events: AsyncAPI 3.0.
//	@Tags			specifications
//	@Param			If-None-Match	header	string	false	"the ETag of the copy that you have"
//	@Produce		json
//	@Success		200	{object}	object	"the document"
//	@Header			200	{string}	ETag	"stands for the document"
//	@Header			200	{string}	Vary	"Accept-Encoding: it is compressed for who can read that"
//	@Success		304	"the copy is still the same"
//	@Header			304	{string}	ETag	"stands for the document"
//	@Header			304	{string}	Vary	"Accept-Encoding"
//	@Failure		429	{object}	models.Problem	"rate_limited"
//	@x-responses	{"200":{"content":{"application/json":{"example":{"asyncapi":"3.0.0","info":{"title":"Fanfare","version":"1.0"},"channels":{}}}}}}
//	@Router			/asyncapi.json [get]
func (a *api) asyncAPI() fiber.Handler { return a.file(fiber.MIMEApplicationJSON, docs.AsyncAPI()) }
