package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// TestMergedPages: read page by page, the parts of several sources have what one list of all
// has, whatever each source has and wherever it ends early.
func TestMergedPages(t *testing.T) {
	type counted = models.TopicInfo
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's chance
		sources := make([][]counted, 1+random.IntN(4))
		total := make(map[models.Topic]int)
		for i := range sources {
			for range random.IntN(15) {
				name := models.Topic(fmt.Sprintf("t%02d", random.IntN(25)))
				if !slices.ContainsFunc(sources[i], func(c counted) bool { return c.Name == name }) {
					sources[i] = append(sources[i], counted{Name: name, Subscribers: 1 + random.IntN(9)})
					total[name] += sources[i][len(sources[i])-1].Subscribers
				}
			}
			slices.SortFunc(sources[i], func(a, b counted) int { return compareNames(a, b) })
		}
		want := make([]counted, 0, len(total))
		for name, n := range total {
			want = append(want, counted{Name: name, Subscribers: n})
		}
		slices.SortFunc(want, func(a, b counted) int { return compareNames(a, b) })

		limit := 1 + random.IntN(10)
		got := []counted{}
		for after, pages := "", 0; ; pages++ {
			var parts []part[counted]
			for _, source := range sources {
				from := slices.IndexFunc(source, func(c counted) bool { return string(c.Name) > after })
				if from < 0 {
					from = len(source)
				}
				left := slices.Clone(source[from:])
				// A source may have bounds of its own, but gets on.
				parts = append(parts, newPart(left, 1+random.IntN(limit), topicName))
			}
			page := mergeAll(parts[0], parts[1:], limit, topicName, joinTopics)
			if len(page.Entries) > limit || pages > 30 {
				t.Fatalf("seed %d: page %d has %d entries, limit %d", seed, pages, len(page.Entries), limit)
			}
			got = append(got, page.Entries...)
			if after = page.Next; after == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d, limit %d (-want +got):\n%s", seed, limit, diff)
		}
	}
}

// TestLastPage: next is absent where there is nothing more, and only there.
func TestLastPage(t *testing.T) {
	of := func(names ...models.Topic) []models.TopicInfo {
		var topics []models.TopicInfo
		for _, name := range names {
			topics = append(topics, models.TopicInfo{Name: name})
		}
		return topics
	}
	cases := map[string]struct {
		a, b []models.TopicInfo
		next string
	}{
		"nothing":                         {nil, nil, ""},
		"less than a page":                {of("a"), of("b"), ""},
		"just a page":                     {of("a", "c"), of("b"), ""},
		"just a page, of one":             {of("a", "b", "c"), nil, ""},
		"just a page, with a common name": {of("a", "b", "c"), of("c"), ""},
		"one too many":                    {of("a", "d"), of("b", "c"), "c"},
		"one too many in one":             {nil, of("a", "b", "c", "d"), "c"},
		"one too many in both":            {of("a", "b", "c", "d"), of("a", "b", "c", "d"), "c"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := merge(newPart(c.a, 3, topicName), newPart(c.b, 3, topicName), 3, topicName, joinTopics)
			if got.Next != c.next || len(got.Entries) > 3 {
				t.Errorf("%d entries, next %q, want %q", len(got.Entries), got.Next, c.next)
			}
		})
	}
}

func compareNames(a, b models.TopicInfo) int {
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	default:
		return 0
	}
}
