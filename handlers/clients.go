package handlers

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/models"
)

// listClients answers GET /clients.
//
//	@Summary		List clients
//	@ID			listClients
//	@Description	Every live connection, of all nodes of a cluster, in the order of their ids, which is that of connecting.
//	@Tags			clients
//	@Produce		json
//	@Param			topic	query		string	false	"only clients that a message to this topic would reach"	example(news.eu)
//	@Param			user	query		string	false	"only clients of this user"
//	@Param			limit	query		int		false	"entries in the page"	minimum(1)	maximum(10000)	default(100)
//	@Param			after	query		string	false	"the last id seen"
//	@Success		200		{object}	models.ClientPage
//	@Failure		400		{object}	models.Problem	"invalid_topic, invalid_request"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Security		Bearer
//	@Router			/clients [get]
func (a *api) listClients(c *fiber.Ctx) error {
	page, err := pageParams(c)
	if err != nil {
		return err
	}
	filter := models.ClientFilter{Page: page, User: utils.CopyString(c.Query("user"))}
	if text := c.Query("topic"); text != "" {
		if filter.Topic, err = models.ParseTopic(utils.CopyString(text)); err != nil {
			return err
		}
	}
	clients, err := a.PubSub.Clients(c.UserContext(), caller(c), filter)
	if err != nil {
		return err
	}
	return c.JSON(clients)
}

// getClient answers GET /clients/{id}.
//
//	@Summary	Describe a client
//	@ID		getClient
//	@Tags		clients
//	@Produce	json
//	@Param		id	path		string	true	"the client's id"	format(uuid)
//	@Success	200	{object}	models.ClientInfo
//	@Failure	401	{object}	models.Problem	"unauthorized"
//	@Failure	403	{object}	models.Problem	"forbidden"
//	@Failure	404	{object}	models.Problem	"not_found"
//	@Failure	429	{object}	models.Problem	"rate_limited"
//	@Failure	503	{object}	models.Problem	"engine_unavailable: nodes of the cluster that do not answer may have it"
//	@Security	Bearer
//	@Router		/clients/{id} [get]
func (a *api) getClient(c *fiber.Ctx) error {
	info, err := a.PubSub.Client(c.UserContext(), caller(c), c.Params("id"))
	if err != nil {
		return err
	}
	return c.JSON(info)
}

// disconnectClient answers DELETE /clients/{id}.
//
//	@Summary		Disconnect a client
//	@ID			disconnectClient
//	@Description	Closes the connection, on whichever node of a cluster it is, with code 4501, which tells the client not to come back.
//	@Tags			clients
//	@Produce		json
//	@Param			id	path	string	true	"the client's id"	format(uuid)
//	@Success		204	"the connection is being closed"
//	@Failure		401	{object}	models.Problem	"unauthorized"
//	@Failure		403	{object}	models.Problem	"forbidden"
//	@Failure		404	{object}	models.Problem	"not_found"
//	@Failure		429	{object}	models.Problem	"rate_limited"
//	@Failure		503	{object}	models.Problem	"engine_unavailable: nodes of the cluster that do not answer may have it"
//	@Security		Bearer
//	@Router			/clients/{id} [delete]
func (a *api) disconnectClient(c *fiber.Ctx) error {
	id := utils.CopyString(c.Params("id"))
	if err := a.PubSub.Disconnect(c.UserContext(), caller(c), id, models.CloseDisconnected); err != nil {
		return err
	}
	a.auditRequest(c, "disconnect_client", "client_id", id)
	return c.SendStatus(fiber.StatusNoContent)
}

// disconnected counts the clients that were disconnected.
type disconnected struct {
	Disconnected int `json:"disconnected" example:"2"`
	// Unreachable names the nodes of the cluster that did not answer: the user's clients there may
	// still be connected. Absent if all did.
	Unreachable []string `json:"unreachable,omitzero" example:"fanfare-2-k4m9"`
}

// disconnectUser answers DELETE /clients.
//
//	@Summary		Disconnect a user
//	@ID			disconnectUser
//	@Description	Closes all connections of a user, on all nodes of a cluster, with code 4501, which tells the clients not to come back.
//	@Tags			clients
//	@Produce		json
//	@Param			user	query		string	true	"whose connections"	example(ada)
//	@Success		200		{object}	disconnected
//	@Failure		400		{object}	models.Problem	"invalid_request: no user"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Security		Bearer
//	@Router			/clients [delete]
func (a *api) disconnectUser(c *fiber.Ctx) error {
	user := utils.CopyString(c.Query("user"))
	if user == "" {
		return models.Errorf(models.CodeInvalidRequest, "user is missing")
	}
	count, unreachable := a.PubSub.DisconnectUser(c.UserContext(), caller(c), user, models.CloseDisconnected)
	a.auditRequest(c, "disconnect_user", "user", user, "clients", count)
	return c.JSON(disconnected{Disconnected: count, Unreachable: unreachable})
}
