package handlers

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"fanfare/broker"
	"fanfare/models"
)

// session answers the frames of one client, if it can send any. It is a transport.Session.
type session struct {
	api    *api
	client *broker.Client
}

// Receive answers one message of the client.
func (s *session) Receive(payload []byte, binary bool) {
	var request models.Request
	err := error(models.Errorf(models.CodeInvalidRequest, "frames are text, not binary"))
	if !binary {
		request, err = decodeRequest(payload) // what is refused has its ref as well
	}
	s.api.counters.countFrame(request.Action)
	if limited := s.api.current.Load().requests.take(s.client.Caller()); limited != nil {
		err = limited
	}
	if err == nil {
		err = s.act(request)
	}
	if err != nil {
		s.failed(request.Action, err)
		s.fail(err, request.Ref)
	}
}

// failed writes down that something was refused for who asked for it. An action that is not known
// can be anything, of any length.
func (s *session) failed(act models.Action, err error) {
	if code := models.AsError(err).Code; isRefusal(code) {
		if !act.IsKnown() {
			act = "unknown"
		}
		s.api.refusals.log(s.api.Logger, "act", act, "code", code, "by", s.client.Caller(), "client_id", s.client.ID())
	}
}

// Reply passes on a ready-made answer to a control frame. One too many has it late, since a client
// that missed it would end the connection.
func (s *session) Reply(frame []byte) {
	_ = s.api.current.Load().requests.take(s.client.Caller())
	_ = s.api.PubSub.SendRaw(context.Background(), s.client, frame)
}

// Ended removes the client.
func (s *session) Ended(reason models.CloseCode) {
	s.api.logLeft(s.client, s.api.PubSub.RemoveClient(s.client, reason))
}

func (s *session) act(request models.Request) error {
	if field, action := misplaced(request); field != "" {
		return models.Errorf(models.CodeInvalidRequest, "%s is for %s", field, action)
	}
	switch request.Action {
	case models.ActionSubscribe:
		return s.subscribe(request)
	case models.ActionUnsubscribe:
		return s.unsubscribe(request)
	case models.ActionPublish:
		return s.publish(request)
	case models.ActionPresence:
		return s.presence(request)
	case models.ActionAuth:
		return s.auth(request)
	case models.ActionPing:
		return s.api.PubSub.Send(context.Background(), s.client, models.NewPong(request.Ref))
	case "":
		return models.Errorf(models.CodeInvalidRequest, "action is missing")
	default:
		return models.Errorf(models.CodeInvalidRequest, "unknown action; known are subscribe, unsubscribe, publish, presence, auth and ping")
	}
}

// misplaced names a field of the request that only another action knows, and that action,
// or nothing. Who asks for what is not done must not believe that it was understood.
func misplaced(request models.Request) (field string, action models.Action) {
	if request.Action != models.ActionSubscribe {
		switch {
		case request.Overflow != "":
			return "overflow", models.ActionSubscribe
		case request.Since != "":
			return "since", models.ActionSubscribe
		case request.Last != nil:
			return "last", models.ActionSubscribe
		case request.Presence:
			return "presence", models.ActionSubscribe
		}
	}
	if request.Action != models.ActionPublish {
		switch {
		case request.Data != nil, request.Message != nil:
			return "data", models.ActionPublish
		case request.Key != "":
			return "key", models.ActionPublish
		case request.Event != nil:
			return "event", models.ActionPublish
		case request.TraceParent != "", request.TraceState != "":
			return "traceparent", models.ActionPublish
		}
	}
	if request.Token != "" && request.Action != models.ActionAuth {
		return "token", models.ActionAuth
	}
	return "", ""
}

func (s *session) subscribe(request models.Request) error {
	patterns, err := requestPatterns(request)
	if err != nil {
		return err
	}
	if patterns, err = s.api.distinct(patterns); err != nil {
		return err
	}
	by := s.client.Caller()
	if err := by.MaySubscribe(patterns...); err != nil {
		return err
	}
	overflow, err := models.ParseOverflow(request.Overflow)
	if err != nil {
		return err
	}
	start, err := models.ParseStart(request.Since, request.Last)
	if err != nil {
		return err
	}
	options := models.SubscribeOptions{Overflow: overflow, Start: start, Presence: request.Presence}
	return s.api.PubSub.Subscribe(context.Background(), by, s.client, patterns, options, models.NewAck(request))
}

func (s *session) unsubscribe(request models.Request) error {
	patterns, err := requestPatterns(request)
	if err != nil {
		return err
	}
	return s.api.PubSub.Unsubscribe(context.Background(), s.client.Caller(), s.client, patterns, models.NewAck(request))
}

func (s *session) publish(request models.Request) error {
	by := s.client.Caller()
	if err := s.api.current.Load().publishes.take(by); err != nil {
		return err
	}
	draft, err := requestDraft(request)
	if err != nil {
		return err
	}
	if err := by.MayPublish(draft.Topic); err != nil {
		return err
	}
	receipt, err := s.api.offer(context.Background(), by, draft)
	if err != nil || request.Ref == nil {
		return err
	}
	ack := models.NewAck(request)
	ack.ID, ack.Duplicate = receipt.ID, receipt.Duplicate
	return s.api.PubSub.Send(context.Background(), s.client, ack)
}

func (s *session) presence(request models.Request) error {
	if request.Topics != nil {
		return models.Errorf(models.CodeInvalidRequest, "presence takes one topic")
	}
	topic, err := models.ParseTopic(request.Topic)
	if err != nil {
		return err
	}
	by := s.client.Caller()
	if err := by.MaySubscribe(models.Pattern(topic)); err != nil {
		return err
	}
	page, err := s.api.PubSub.Members(context.Background(), by, topic, models.Page{Limit: models.MaxPageLimit})
	if err != nil {
		return err
	}
	return s.api.PubSub.Send(context.Background(), s.client, models.NewPresence(topic, page, request.Ref))
}

// auth has the client go on as the caller of another token.
func (s *session) auth(request models.Request) error {
	if request.Topic != "" || request.Topics != nil {
		return models.Errorf(models.CodeInvalidRequest, "auth takes no topic")
	}
	if request.Token == "" {
		return models.Errorf(models.CodeInvalidRequest, "token is missing")
	}
	now := s.client.Caller()
	by := now
	authenticator := s.api.current.Load().Auth
	if authenticator != nil {
		var err error
		if by, err = s.api.recognize(authenticator, request.Token); err != nil {
			return err
		}
		if by.Address = now.Address; now.User != "" && by.User != now.User {
			return models.Errorf(models.CodeForbidden, "the token is another user's: it needs a connection of its own")
		}
	}
	defer s.api.recheck(s.client, authenticator)
	return s.api.PubSub.Renew(context.Background(), by, s.client, models.NewAck(request))
}

// fail tells the client what went wrong. The connection stays open.
func (s *session) fail(err error, ref models.Ref) {
	e := models.AsError(err)
	s.api.counters.countRefusal(e.Code)
	if e.Code == models.CodeInternal {
		s.api.Logger.Error("frame_failed", "error", err, "client_id", s.client.ID())
	}
	_ = s.api.PubSub.Send(context.Background(), s.client, models.NewErrorFrame(e, ref))
}

// requestPatterns gives the patterns that a subscribe or unsubscribe names.
func requestPatterns(request models.Request) ([]models.Pattern, error) {
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
	return newDraft(topic, data, request.Key, request.Attributes)
}

// newDraft checks the data, the key and the attributes of a message.
func newDraft(topic models.Topic, data jsontext.Value, key string, attributes models.Attributes) (draft models.Draft, err error) {
	draft.Topic = topic
	if draft.Key, err = models.ParseKey(key); err != nil {
		return draft, err
	}
	if attributes.Event == nil {
		draft.Data, err = compactJSON(data, "data")
	} else {
		attributes.Event, draft.Data, err = models.ParseEventAttributes(attributes.Event, data)
	}
	draft.Attributes = models.NewAttributes(attributes.TraceParent, attributes.TraceState, attributes.Event)
	return draft, err
}
