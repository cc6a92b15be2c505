package enginetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

func testKeys(t *testing.T, engine broker.Engine, sink *Sink) {
	draft := models.Draft{Topic: "a", Data: []byte(`"MTIz"`), From: "ada", Key: "k"}
	first, err := engine.Publish(t.Context(), draft)
	if err != nil || first.Duplicate {
		t.Fatalf("%+v, %v", first, err)
	}
	publish(t, engine, "a", "2")
	want := first
	want.Duplicate = true
	for range 3 {
		again := draft
		again.Data = []byte(`"MTIz"`) // the same, elsewhere
		receipt, err := engine.Publish(t.Context(), again)
		if diff := cmp.Diff(want, receipt); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	other, binary := draft, draft
	other.Data = []byte(`"3"`)
	binary.Encoding = models.EncodingBase64
	for name, conflict := range map[string]models.Draft{"other data": other, "another encoding": binary} {
		if receipt, err := engine.Publish(t.Context(), conflict); models.AsError(err).Code != models.CodeConflict {
			t.Errorf("%s: %+v, %v", name, receipt, err)
		}
	}
	// A conflict changes nothing.
	if receipt, err := engine.Publish(t.Context(), draft); err != nil || receipt.ID != first.ID {
		t.Errorf("after the conflicts: %+v, %v", receipt, err)
	}
	last := publish(t, engine, "a", "4")
	if delivered := sink.Await(3); len(delivered) != 3 || delivered[2].ID != last.ID {
		t.Errorf("delivered %v", delivered)
	}
}

// testKeysApart: a key is its publisher's and its topic's, and no key is none.
func testKeysApart(t *testing.T, engine broker.Engine, _ *Sink) {
	published := make(map[models.ID]models.Draft)
	for _, draft := range []models.Draft{
		{Topic: "a", From: "ada", Key: "k"},
		{Topic: "b", From: "ada", Key: "k"},
		{Topic: "a", From: "bob", Key: "k"},
		{Topic: "a", From: "", Key: "k"},
		{Topic: "a", From: "ada", Key: "l"},
		{Topic: "ak", From: "ada", Key: "k"},
		{Topic: "a", From: "ada", Key: "kk"},
		{Topic: "a", From: "adaa", Key: "k"},
		{Topic: "a", From: "ad", Key: "ak"},
		{Topic: "a", From: "ada"},
		{Topic: "a", From: "ada"},
	} {
		draft.Data = []byte("1")
		receipt, err := engine.Publish(t.Context(), draft)
		if err != nil {
			t.Fatal(err)
		}
		if other, found := published[receipt.ID]; found || receipt.Duplicate {
			t.Errorf("%+v repeats %+v: %+v", draft, other, receipt)
		}
		published[receipt.ID] = draft
	}
}

// testConcurrentKeys: of many that publish the same at once, one does, and all have its
// receipt.
func testConcurrentKeys(t *testing.T, engine broker.Engine, sink *Sink) {
	const publishers, keys = 8, 100
	receipts := make([][]models.Receipt, publishers)
	var publishing sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() {
			for n := range keys {
				receipt, err := engine.Publish(t.Context(), models.Draft{
					Topic: "a", Data: fmt.Appendf(nil, "%d", n), Key: fmt.Sprint("k", n),
				})
				if err != nil {
					t.Error(err)
					return
				}
				receipts[i] = append(receipts[i], receipt)
			}
		})
	}
	publishing.Wait()
	for n := range keys {
		first := 0
		for i := range receipts {
			receipt := receipts[i][n]
			if receipt.ID != receipts[0][n].ID || receipt.Time != receipts[0][n].Time {
				t.Errorf("key %d has %+v and %+v", n, receipt, receipts[0][n])
			}
			if !receipt.Duplicate {
				first++
			}
		}
		if first != 1 {
			t.Errorf("key %d was published %d times", n, first)
		}
	}
	last := publish(t, engine, "a", "0")
	if delivered := sink.Await(keys + 1); len(delivered) != keys+1 || delivered[keys].ID != last.ID {
		t.Errorf("%d messages were delivered", len(delivered))
	}
}
