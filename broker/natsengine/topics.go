package natsengine

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"fanfare/models"
)

// maxAsked is how many questions about topics are under way at a time.
const maxAsked = 16

// Topics implements broker.Engine. JetStream has no order of subjects to begin in, so every page takes the
// names of all topics that match.
func (e *Engine) Topics(ctx context.Context, filter models.TopicFilter) ([]models.TopicInfo, error) {
	topics, err := e.topics(ctx, filter)
	return topics, e.unavailable("listing topics", err)
}

func (e *Engine) topics(ctx context.Context, filter models.TopicFilter) ([]models.TopicInfo, error) {
	pattern := filter.Pattern
	if pattern == "" {
		pattern = models.AnyTail
	}
	now, err := e.state(ctx, e.codec.prefix+string(pattern))
	if err != nil {
		return nil, err
	}
	var topics []models.TopicInfo
	for subject, messages := range now.subjects {
		topic, err := models.ParseTopic(strings.TrimPrefix(subject, e.codec.prefix))
		if err == nil && string(topic) > filter.After {
			topics = append(topics, models.TopicInfo{Name: topic, Messages: int(messages)}) //nolint:gosec // it fits
		}
	}
	slices.SortFunc(topics, func(a, b models.TopicInfo) int { return strings.Compare(string(a.Name), string(b.Name)) })
	topics = topics[:min(len(topics), filter.Limit)]

	var asked errgroup.Group
	asked.SetLimit(maxAsked)
	for i := range topics {
		asked.Go(func() error {
			s, found, err := e.leaderMessage(ctx, map[string]any{"last_by_subj": e.codec.prefix + string(topics[i].Name)})
			if err != nil || !found {
				topics[i].Messages = 0
				return err
			}
			topics[i].LastID = now.id(s.sequence)
			topics[i].LastTime, _ = e.codec.sender(s)
			return nil
		})
	}
	err = asked.Wait()
	// Some may have gone meanwhile.
	return slices.DeleteFunc(topics, func(t models.TopicInfo) bool { return t.Messages == 0 }), err
}
