package broker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

func TestMemoryEngine(t *testing.T) {
	enginetest.Run(t, func(history broker.History) broker.Engine { return broker.NewMemory(history) })
}

func TestUnrulyEngineKeepsTheContract(t *testing.T) {
	enginetest.Run(t, func(history broker.History) broker.Engine { return enginetest.NewUnruly(1, history) })
}

// startMemory gives a running engine that is closed with the test.
func startMemory(t *testing.T, history broker.History) *broker.Memory {
	t.Helper()
	m := broker.NewMemory(history)
	if _, err := m.Start(t.Context(), enginetest.NewSink(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func publishTo(t *testing.T, m *broker.Memory, topic models.Topic, data string) models.ID {
	t.Helper()
	receipt, err := m.Publish(t.Context(), models.Draft{Topic: topic, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return receipt.ID
}

// retained gives the data of what is retained after a place, and whether that is all.
func retained(t *testing.T, m *broker.Memory, pattern models.Pattern, after models.ID) (data []string, complete bool) {
	t.Helper()
	end, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stretch, err := m.Read(t.Context(), []models.Pattern{pattern}, after, end, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range stretch.Messages {
		data = append(data, string(message.Data))
	}
	return data, stretch.Recovered(after)
}

func TestMemoryBoundsATopic(t *testing.T) {
	history := enginetest.Generous()
	history.MaxMessagesPerTopic = 3
	m := startMemory(t, history)
	quiet := publishTo(t, m, "quiet", "0")
	var ids []models.ID
	for i := range 100 {
		ids = append(ids, publishTo(t, m, "busy", fmt.Sprint(i)))
	}
	for name, c := range map[string]struct {
		after    models.ID
		complete bool
	}{
		"all that is left was seen": {ids[99], true},
		"nothing removed since":     {ids[96], true},
		"one removed since":         {ids[95], false},
		"before the first":          {quiet, false},
	} {
		data, complete := retained(t, m, "busy", c.after)
		if complete != c.complete || (!complete && !cmp.Equal(data, []string{"97", "98", "99"})) {
			t.Errorf("%s: complete %v, %q", name, complete, data)
		}
	}
	if data, complete := retained(t, m, "quiet", models.ID{Epoch: quiet.Epoch}); !complete || len(data) != 1 {
		t.Errorf("another topic: complete %v, %q", complete, data)
	}
	if _, complete := retained(t, m, ">", models.ID{Epoch: quiet.Epoch}); complete {
		t.Error("a pattern over a topic that lost messages is complete")
	}
}

func TestMemoryBoundsItsSize(t *testing.T) {
	history := enginetest.Generous()
	history.MaxBytes = 100_000
	m := startMemory(t, history)
	start, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	large := fmt.Sprintf("%0*d", 1000, 1)
	for i := range 1000 {
		publishTo(t, m, models.Topic(fmt.Sprintf("t.%d", i)), large)
	}
	data, complete := retained(t, m, ">", start)
	if complete || len(data) == 0 || len(data) > 100 {
		t.Errorf("complete %v, %d messages of 1,000 bytes in 100,000", complete, len(data))
	}
	if _, complete := retained(t, m, "t.0", start); complete {
		t.Error("a topic that was forgotten altogether is complete")
	}
	topics, err := m.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 10_000}})
	if err != nil || len(topics) != len(data) {
		t.Errorf("%d topics with %d messages, %v", len(topics), len(data), err)
	}
	publishTo(t, m, "t.0", "1")
	if _, complete := retained(t, m, "t.0", start); complete {
		t.Error("a topic that was forgotten and came back is complete")
	}
	// A message that is larger than the log goes at once, and is remembered as gone.
	before, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publishTo(t, m, "huge", fmt.Sprintf("%0*d", 200_000, 1))
	if data, complete := retained(t, m, ">", before); complete || len(data) != 0 {
		t.Errorf("after a message larger than the log: complete %v, %d messages", complete, len(data))
	}
}

func TestMemoryBoundsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		history := enginetest.Generous()
		history.MaxAge = time.Minute
		m := startMemory(t, history)
		for i := range 1000 {
			publishTo(t, m, models.Topic(fmt.Sprintf("t.%d", i)), "1")
		}
		time.Sleep(30 * time.Second)
		young := publishTo(t, m, "young", "2")
		time.Sleep(45 * time.Second)
		// Nothing is published, and the old ones go all the same.
		topics, err := m.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 10_000}})
		if err != nil || len(topics) != 1 || topics[0].LastID != young {
			t.Errorf("topics after the age: %v, %v", topics, err)
		}
		if _, complete := retained(t, m, "t.1", models.ID{Epoch: young.Epoch}); complete {
			t.Error("what grew too old is complete")
		}
		if _, complete := retained(t, m, ">", models.ID{Epoch: young.Epoch, Sequence: young.Sequence - 1}); !complete {
			t.Error("nothing was removed after this place")
		}
	})
}
