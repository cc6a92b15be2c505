package broker

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// TestPatternMapAgainstAList compares it, over random changes, with a plain map that is
// searched from end to end.
func TestPatternMapAgainstAList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a test's chance
	tokens := []string{"a", "b", "c", "*"}
	pattern := func() models.Pattern {
		var chosen []string
		for range 1 + random.IntN(4) {
			chosen = append(chosen, tokens[random.IntN(len(tokens))])
		}
		if random.IntN(4) == 0 {
			chosen = append(chosen, ">")
		}
		return models.Pattern(strings.Join(chosen, "."))
	}
	m, list := newPatternMap[int](), make(map[models.Pattern]int)
	for i := range 20_000 {
		switch p := pattern(); {
		case random.IntN(2) == 0:
			m.set(p, i)
			list[p] = i
		default:
			m.delete(p)
			delete(list, p)
		}
		if value, found := m.get("a.*"); found != (list["a.*"] != 0) || value != list["a.*"] {
			t.Fatalf("get: %d, %v, want %d", value, found, list["a.*"])
		}
		topic := models.Topic(strings.ReplaceAll(strings.TrimSuffix(string(pattern()), ".>"), "*", "d"))
		if strings.Contains(string(topic), ">") {
			continue
		}
		var got, want []int
		m.match(topic, func(value int) { got = append(got, value) })
		for p, value := range list {
			if p.Matches(topic) {
				want = append(want, value)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s matches (-want +got):\n%s", topic, diff)
		}
	}
	var all []int
	m.each(func(value int) { all = append(all, value) })
	slices.Sort(all)
	if diff := cmp.Diff(slices.Sorted(maps.Values(list)), all); diff != "" {
		t.Errorf("all values (-want +got):\n%s", diff)
	}
	for p := range list {
		m.delete(p)
	}
	if len(m.exact)+len(m.wildcards.children)+m.wildcardCount != 0 {
		t.Errorf("something is left of an emptied map: %+v", m)
	}
}
