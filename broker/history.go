package broker

import (
	"context"
	"math"
	"time"

	"fanfare/models"
)

// maxPageSize bounds the data in a page of the log, in bytes: the message that comes to it
// is the last.
const maxPageSize = 1 << 20

// beginning is where a listener begins in the log.
type beginning struct {
	// after is the cursor: whatever matches after it is retained, or was removed before
	// removals, or comes after newest, where the log was then.
	after, newest models.ID
	removals      Removals
	// recovered tells, if that was asked, whether nothing that matched after the cursor is
	// missing.
	recovered *bool
}

// find gives the place that a start means, for patterns. It has been delivered by then: of a
// log of which nothing has been, everything is yet to come.
func (p *PubSub) find(ctx context.Context, patterns []models.Pattern, start models.Start) (beginning, error) {
	b, err := p.locate(ctx, patterns, start)
	if err != nil {
		return b, err
	}
	if delivered := p.dispatcher.delivered(); b.after.Sequence == 0 && b.after.Epoch != delivered.Epoch {
		b.after = delivered
		return b, nil
	}
	return b, p.awaitDelivered(ctx, b.after)
}

// locate gives the place in the log that a start means, for patterns.
func (p *PubSub) locate(ctx context.Context, patterns []models.Pattern, start models.Start) (beginning, error) {
	position, err := p.engine.Position(ctx)
	if err != nil {
		return beginning{}, err
	}
	b := beginning{after: start.Since}
	switch {
	case start.Last > 0:
		b.after = position
	case start.All:
		b.after = models.ID{Epoch: position.Epoch}
	}
	// All that there is, so that what is not looked at here comes after these removals.
	end := models.ID{Epoch: position.Epoch, Sequence: math.MaxUint64}
	stretch, err := p.engine.Read(ctx, Query{Patterns: patterns, After: b.after, UpTo: end, Limit: 1})
	if err != nil {
		return beginning{}, err
	}
	b.newest, b.removals = stretch.Newest, stretch.Removals
	switch {
	case start.Last > 0: // what is removed from here on is told
		if b.after, err = p.engine.Tail(ctx, patterns, stretch.Newest, start.Last); err != nil {
			return beginning{}, err
		}
	case start.Resumes():
		b.recovered = new(stretch.Follows(b.after))
	}
	if b.after.Epoch != stretch.Newest.Epoch || b.after.Sequence > stretch.Newest.Sequence {
		b.after = models.ID{Epoch: stretch.Newest.Epoch}
	}
	return b, nil
}

// awaitDelivered waits until a place in the log has been delivered, which it soon is.
func (p *PubSub) awaitDelivered(ctx context.Context, id models.ID) error {
	if p.dispatcher.hasDelivered(id) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.PublishWait)
	defer cancel()
	if until(ctx, func() bool { return p.dispatcher.hasDelivered(id) }) != nil {
		return &models.Error{
			Code:       models.CodeEngineUnavailable,
			Message:    "the log has gone on further than this server has heard",
			RetryAfter: time.Second,
		}
	}
	return nil
}

// History gives a page of the log. CodeEngineUnavailable.
func (p *PubSub) History(ctx context.Context, _ models.Caller, filter models.HistoryFilter) (models.HistoryPage, error) {
	patterns := []models.Pattern{filter.Pattern}
	start := filter.Start
	if !start.Replays() {
		start.All = true
	}
	begin, err := p.locate(ctx, patterns, start)
	if err != nil {
		return models.HistoryPage{}, err
	}
	page := models.HistoryPage{Messages: []*models.Message{}, Next: begin.after}
	complete := begin.recovered == nil || *begin.recovered
	removals := begin.removals
	for size, more := 0, true; more && len(page.Messages) < filter.Limit && size < maxPageSize; {
		stretch, err := p.engine.Read(ctx, Query{
			Patterns: patterns, After: page.Next, UpTo: begin.newest,
			Limit: filter.Limit - len(page.Messages), Removals: removals,
		})
		if err != nil {
			return models.HistoryPage{}, err
		}
		complete = complete && stretch.Follows(page.Next)
		removals = stretch.Removals
		for _, m := range stretch.Messages {
			size += m.Size()
		}
		page.Messages = append(page.Messages, stretch.Messages...)
		page.Next = stretch.Reached
		more = page.Next.Epoch == begin.newest.Epoch && page.Next.Sequence < begin.newest.Sequence
	}
	if filter.Start.Resumes() {
		page.Recovered = &complete
	}
	return page, nil
}

// AwaitHistory is History that waits for a message if there is none: a long poll. While it
// waits it is a client like any other. The page has Recovered, false, also if nobody asked and
// something was lost while it waited. CodeTooManyClients and CodeShuttingDown, too.
func (p *PubSub) AwaitHistory(
	ctx context.Context, by models.Caller, filter models.HistoryFilter, wait time.Duration, connection models.Connection,
) (models.HistoryPage, error) {
	page, err := p.History(ctx, by, filter)
	if err != nil || wait <= 0 || hasNews(page) {
		return page, err
	}
	conn := newPoll()
	c, err := p.AddClient(ctx, by, conn, connection)
	if err != nil {
		return models.HistoryPage{}, err
	}
	defer p.RemoveClient(c, models.CloseNormal)
	patterns := []models.Pattern{filter.Pattern}
	if err := p.Subscribe(ctx, by, c, patterns, models.SubscribeOptions{}, models.Ack{}); err != nil {
		return models.HistoryPage{}, err
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	resumes := filter.Start.Resumes()
	for waiting := true; ; {
		filter.Start = models.Start{Since: page.Next}
		if page, err = p.History(ctx, by, filter); err != nil || hasNews(page) || !waiting {
			break
		}
		select {
		case <-conn.message:
		case <-conn.closed:
			waiting = false
		case <-late.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
	if !resumes && page.Recovered != nil && *page.Recovered {
		page.Recovered = nil // nobody asked
	}
	return page, err
}

// hasNews tells whether a page is worth an answer at once.
func hasNews(page models.HistoryPage) bool {
	return len(page.Messages) > 0 || page.Recovered != nil && !*page.Recovered
}

// Purge removes all messages of a topic from the log. CodeEngineUnavailable and
// CodeShuttingDown.
func (p *PubSub) Purge(ctx context.Context, _ models.Caller, topic models.Topic) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.calls.Done()
	return p.engine.Purge(ctx, topic)
}
