package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fanfare/app/remote"
	"fanfare/handlers/auth"
	"fanfare/models"
)

// expiryWarning is how long before its end a token is as good as over.
const expiryWarning = time.Minute

// access is what is known of who asks.
type access struct {
	// open tells that there is no authentication.
	open bool
	// admin tells that it may administer.
	admin bool
	// scopes is what its token says, nil if that cannot be read: an API key, or a stranger.
	scopes *models.Scopes
}

// token finds out whether the server takes the token, and what for.
func (e *examination) token(ctx context.Context) bool {
	ctx, cancel := e.within(ctx)
	defer cancel()
	credential, err := e.Server.Token()
	if err != nil {
		e.bad("token", err.Error(), "")
		return false
	}
	stranger := &remote.Server{URL: e.Server.URL, Client: e.Server.Client, Token: func() (string, error) { return "", nil }}
	code, err := mayList(ctx, stranger)
	if err != nil {
		e.fails("token", err)
		return false
	}
	if code == "" {
		e.access = access{open: true, admin: true, scopes: models.AllScopes()}
		text := "the server has no authentication: whoever reaches it may do everything"
		if credential != "" {
			text += "; nobody looks at the token"
		}
		e.note("token", "%s", text)
		return true
	}
	if credential == "" {
		e.note("token", "the server has authentication, and there is no token: give one with --token-file, --token or FANFARE_TOKEN")
		return true
	}
	token, malformed := auth.Inspect(credential)
	if code, err = mayList(ctx, e.Server); err != nil {
		e.fails("token", err)
		return false
	}
	if code == models.CodeUnauthorized {
		e.refused(token, malformed)
		return false
	}
	e.access.admin = code == ""
	e.taken(token, malformed)
	return true
}

// mayList asks for what only administrators get, and gives what the server says: nothing if it gives it.
func mayList(ctx context.Context, s *remote.Server) (models.Code, error) {
	err := s.Do(ctx, remote.Request{Method: http.MethodGet, Path: []string{"topics"}, Query: url.Values{"limit": {"1"}}}, nil)
	refusal, ok := errors.AsType[*remote.Refusal](err)
	if ok && slices.Contains([]models.Code{models.CodeUnauthorized, models.CodeForbidden}, refusal.Code) {
		return refusal.Code, nil
	}
	return "", err
}

// refused says why the server may have refused the token.
func (e *examination) refused(token auth.Token, malformed error) {
	if malformed != nil {
		e.bad("token", "the server refuses it: it is no API key that it knows, and cannot be read as a token",
			"Give all of it, three parts with dots between them for a token, without \"Bearer\"")
		return
	}
	reasons := e.faults(token)
	if len(reasons) == 0 {
		e.bad("token", "the server refuses it, and nothing is wrong with what it says",
			fmt.Sprintf("It was signed with another key or algorithm (%s), or the server wants another issuer or audience: on the server,"+
				" fanfare token inspect says which", token.Algorithm))
		return
	}
	e.bad("token", "the server refuses it: "+strings.Join(reasons, "; "), "Make another one")
}

// faults are what no server takes.
func (e *examination) faults(token auth.Token) (reasons []string) {
	now := time.Now().Add(e.offset)
	switch {
	case token.Expires.IsZero():
		reasons = append(reasons, `it has no expiry ("exp")`)
	case now.After(token.Expires):
		reasons = append(reasons, "it has expired at "+token.Expires.Local().Format(time.RFC3339))
	}
	if now.Before(token.NotBefore) {
		reasons = append(reasons, "it is not valid before "+token.NotBefore.Local().Format(time.RFC3339))
	}
	if models.CheckUser(token.User) != nil {
		reasons = append(reasons, `it has no user ("sub")`)
	}
	if _, err := token.Grant.Scopes(); err != nil {
		reasons = append(reasons, `the claim "fanfare" has something that is no pattern: `+err.Error())
	}
	return reasons
}

// taken tells what the token is for.
func (e *examination) taken(token auth.Token, malformed error) {
	if malformed != nil {
		e.good("token", "the server knows the API key; admin: %t", e.access.admin)
		return
	}
	scopes, _ := token.Grant.Scopes() // the server has taken them
	e.access.scopes = &scopes
	text := fmt.Sprintf("the server takes it: user %s, publish %s, subscribe %s, admin %t, until %s", token.User,
		named(token.Grant.Publish), named(token.Grant.Subscribe), e.access.admin, token.Expires.Local().Format(time.RFC3339))
	switch left := time.Until(token.Expires.Add(-e.offset)); {
	case left < expiryWarning:
		e.warn("token", text, "It ends now: live connections are closed then. Make another one")
	case len(scopes.Publish)+len(scopes.Subscribe) == 0 && !scopes.Admin:
		e.warn("token", text, `It allows nothing: the claim "fanfare" says what, {"publish":["news.*"],"subscribe":["news.>"]}`)
	default:
		e.good("token", "%s", text)
	}
}

func named(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing"
	}
	return strings.Join(patterns, " ")
}

// topics gives a topic to listen to and, if it is one that nobody else uses and that may be published to as well,
// that as well. Both are empty if that is not allowed, as far as is known.
func (e *examination) topics() (listen models.Pattern, publish models.Topic) {
	own := models.Topic(e.scratch)
	if e.access.open || e.access.scopes == nil {
		return models.Pattern(own), own
	}
	scopes := e.access.scopes
	for _, p := range scopes.Publish {
		if topic := e.below(p); p.HasWildcard() && scopes.MaySubscribe(models.Pattern(topic)) {
			return models.Pattern(topic), topic
		}
	}
	for _, p := range scopes.Subscribe {
		return models.Pattern(e.below(p)), ""
	}
	return "", ""
}

// below puts the scratch token in place of each wildcard.
func (e *examination) below(p models.Pattern) models.Topic {
	tokens := strings.Split(string(p), ".")
	for i, token := range tokens {
		if token == models.AnyToken || token == models.AnyTail {
			tokens[i] = e.scratch
		}
	}
	return models.Topic(strings.Join(tokens, "."))
}
