package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// nowhere is a broker.Conn that takes everything at once.
type nowhere struct{}

func (nowhere) Format() models.Format { return lineFormat{} }

func (nowhere) Write(b []byte, _ func()) (int, error) { return len(b), nil }

func (nowhere) Close(models.CloseCode) {}

// BenchmarkPublish measures a publish with its deliveries, sockets aside. Allocations
// must not grow with the subscribers.
func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			history := enginetest.Generous()
			history.MaxMessagesPerTopic = 1000
			p, err := broker.New(b.Context(), broker.NewMemory(history), defaults())
			if err != nil {
				b.Fatal(err)
			}
			clients := make([]*broker.Client, subscribers)
			for i := range clients {
				clients[i], err = p.AddClient(b.Context(), models.Caller{}, nowhere{}, models.Connection{})
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Subscribe(b.Context(), models.Caller{}, clients[i], []models.Pattern{"a.b"}, models.SubscribeOptions{}, models.Ack{Type: "ack"}); err != nil {
					b.Fatal(err)
				}
			}
			draft := models.Draft{Topic: "a.b", Data: []byte(`{"n":1,"text":"a message of some length"}`)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Publish(b.Context(), models.Caller{}, draft); err != nil {
					b.Fatal(err)
				}
			}
			// The deliveries that are still under way belong to the figure.
			for _, c := range clients {
				p.RemoveClient(c, models.CloseNormal)
			}
			if err := p.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkPublishToLongPatterns measures what wildcards can cost at worst: a thousand
// patterns of 128 tokens, all of which match the topic.
func BenchmarkPublishToLongPatterns(b *testing.B) {
	const tokens, choices = 128, 10
	options := defaults()
	options.Subscriptions = 1 << choices
	p, err := broker.New(b.Context(), broker.NewMemory(enginetest.Generous()), options)
	if err != nil {
		b.Fatal(err)
	}
	c, err := p.AddClient(b.Context(), models.Caller{}, nowhere{}, models.Connection{})
	if err != nil {
		b.Fatal(err)
	}
	tail := strings.Repeat(".a", tokens-choices)
	var patterns []models.Pattern
	for i := 1; i < 1<<choices; i++ {
		head := make([]string, choices)
		for bit := range head {
			head[bit] = []string{"a", models.AnyToken}[i>>bit&1]
		}
		patterns = append(patterns, models.Pattern(strings.Join(head, ".")+tail))
	}
	if err := p.Subscribe(b.Context(), models.Caller{}, c, patterns, models.SubscribeOptions{}, models.Ack{Type: "ack"}); err != nil {
		b.Fatal(err)
	}
	draft := models.Draft{Topic: models.Topic("a" + strings.Repeat(".a", tokens-1)), Data: []byte("1")}
	for b.Loop() {
		if _, err := p.Publish(b.Context(), models.Caller{}, draft); err != nil {
			b.Fatal(err)
		}
	}
	p.RemoveClient(c, models.CloseNormal)
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
