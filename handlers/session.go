package handlers

import (
	"context"

	"fanfare/broker"
	"fanfare/models"
)

// session answers the frames of one WebSocket client. It is a transport.Session.
type session struct {
	ctx    context.Context
	api    *api
	client *broker.Client
}

// Receive answers one message of the client.
func (s *session) Receive(payload []byte, binary bool) {
	if binary {
		s.fail(models.Errorf(models.CodeInvalidRequest, "frames are text, not binary"), nil)
		return
	}
	request, err := decodeRequest(payload)
	if err == nil {
		err = s.act(request)
	}
	if err != nil {
		s.fail(err, request.Ref)
	}
}

// Reply passes on a ready-made answer to a control frame.
func (s *session) Reply(frame []byte) {
	_ = s.api.PubSub.SendRaw(s.ctx, s.client, frame)
}

// Ended removes the client.
func (s *session) Ended(reason models.CloseCode) {
	s.api.logLeft(s.client, s.api.PubSub.RemoveClient(s.client, reason))
}

func (s *session) act(request models.Request) error {
	if request.Overflow != "" && request.Action != models.ActionSubscribe {
		return models.Errorf(models.CodeInvalidRequest, "overflow is for subscribe")
	}
	switch request.Action {
	case models.ActionSubscribe:
		return s.subscribe(request)
	case models.ActionUnsubscribe:
		return s.unsubscribe(request)
	case models.ActionPublish:
		return s.publish(request)
	case models.ActionPing:
		return s.api.PubSub.Send(s.ctx, s.client, models.NewPong(request.Ref))
	case "":
		return models.Errorf(models.CodeInvalidRequest, "action is missing")
	default:
		return models.Errorf(models.CodeInvalidRequest, "unknown action; known are subscribe, unsubscribe, publish and ping")
	}
}

func (s *session) subscribe(request models.Request) error {
	patterns, err := requestPatterns(request)
	if err != nil {
		return err
	}
	overflow, err := models.ParseOverflow(request.Overflow)
	if err != nil {
		return err
	}
	options := models.SubscribeOptions{Overflow: overflow}
	return s.api.PubSub.Subscribe(s.ctx, s.client.Caller(), s.client, patterns, options, models.NewAck(request))
}

func (s *session) unsubscribe(request models.Request) error {
	patterns, err := requestPatterns(request)
	if err != nil {
		return err
	}
	return s.api.PubSub.Unsubscribe(s.ctx, s.client.Caller(), s.client, patterns, models.NewAck(request))
}

func (s *session) publish(request models.Request) error {
	draft, err := requestDraft(request)
	if err != nil {
		return err
	}
	receipt, err := s.api.PubSub.Publish(s.ctx, s.client.Caller(), draft)
	if err != nil || request.Ref == nil {
		return err
	}
	ack := models.NewAck(request)
	ack.ID = receipt.ID
	return s.api.PubSub.Send(s.ctx, s.client, ack)
}

// fail tells the client what went wrong. The connection stays open.
func (s *session) fail(err error, ref models.Ref) {
	e := models.AsError(err)
	if e.Code == models.CodeInternal {
		s.api.Logger.Error("frame_failed", "error", err, "client_id", s.client.ID())
	}
	_ = s.api.PubSub.Send(s.ctx, s.client, models.NewErrorFrame(e, ref))
}

// requestPatterns gives the patterns that a subscribe or unsubscribe names.
func requestPatterns(request models.Request) ([]models.Pattern, error) {
	if request.Data != nil || request.Message != nil {
		return nil, models.Errorf(models.CodeInvalidRequest, "data is for publish")
	}
	texts := request.Topics
	if texts == nil {
		texts = []string{request.Topic}
	} else if request.Topic != "" {
		return nil, models.Errorf(models.CodeInvalidRequest, "either topic or topics, not both")
	}
	if len(texts) == 0 {
		return nil, models.Errorf(models.CodeInvalidTopic, "topics must not be empty")
	}
	patterns := make([]models.Pattern, 0, len(texts))
	for _, text := range texts {
		pattern, err := models.ParsePattern(text)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, pattern)
	}
	return patterns, nil
}

// requestDraft gives the message that a publish offers.
func requestDraft(request models.Request) (models.Draft, error) {
	topic, err := models.ParseTopic(request.Topic)
	if err != nil {
		return models.Draft{}, err
	}
	data := request.Data
	switch {
	case request.Topics != nil:
		return models.Draft{}, models.Errorf(models.CodeInvalidRequest, "publish takes one topic")
	case data != nil && request.Message != nil:
		return models.Draft{}, models.Errorf(models.CodeInvalidRequest, "either data or message, not both")
	case data == nil && request.Message == nil:
		return models.Draft{}, models.Errorf(models.CodeInvalidRequest, "data is missing")
	case data == nil:
		data = request.Message
	}
	data, err = compactJSON(data)
	return models.Draft{Topic: topic, Data: data}, err
}
