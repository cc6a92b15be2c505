package handlers

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/models"
)

// bubble gives a test a clock of its own.
func bubble(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

// taken counts how often a caller may do something at once.
func taken(r *rates, by models.Caller) (n int, refusal *models.Error) {
	for ; n < 1000; n++ {
		if err := r.take(by); err != nil {
			return n, models.AsError(err)
		}
	}
	return n, nil
}

// TestRates: a burst at once, then so many a second, of each user and of each network of
// strangers.
func TestRates(t *testing.T) {
	t.Run("nothing is limited", func(t *testing.T) {
		if n, _ := taken(newRates(Rate{}, "x"), models.Caller{}); n != 1000 {
			t.Errorf("refused after %d", n)
		}
	})
	t.Run("burst and rate", bubble(func(t *testing.T) {
		r := newRates(Rate{PerSecond: 0.5, Burst: 3}, "x")
		begin := time.Now()
		n, refusal := taken(r, models.Caller{})
		if n != 3 || refusal.Code != models.CodeRateLimited || refusal.RetryAfter != 2*time.Second {
			t.Errorf("%d, then %+v", n, refusal)
		}
		if pause := time.Since(begin); pause != refusalPause {
			t.Errorf("the refusal has taken %v", pause)
		}
		time.Sleep(2 * time.Second)
		if n, _ := taken(r, models.Caller{}); n != 1 {
			t.Errorf("2 s later %d were let through", n)
		}
		time.Sleep(time.Hour)
		if n, _ := taken(r, models.Caller{}); n != 3 {
			t.Errorf("an hour later %d were let through", n)
		}
	}))
	t.Run("whose", bubble(func(t *testing.T) {
		r := newRates(Rate{PerSecond: 1, Burst: 2}, "x")
		ada := models.Caller{User: "ada", Address: "192.0.2.1:1"}
		for _, c := range []struct {
			by   models.Caller
			want int
		}{
			{ada, 2},
			{models.Caller{User: "ada", Address: "192.0.2.2:1"}, 0}, // from elsewhere
			{models.Caller{User: "bob", Address: "192.0.2.1:1"}, 2},
			{models.Caller{Address: "192.0.2.1:1"}, 2},
			{models.Caller{Address: "192.0.2.1:2"}, 0},
			{models.Caller{Address: "192.0.2.2:1"}, 2},
			{models.Caller{Address: "[2001:db8::1]:1"}, 2},
			{models.Caller{Address: "[2001:db8::2]:1"}, 0},
			{models.Caller{Address: "[2001:db8:0:1::2]:1"}, 2},
			{models.Caller{User: "192.0.2.1/32"}, 2},
		} {
			r.turned = time.Now() // what a refusal takes does not count
			if n, _ := taken(r, c.by); n != c.want {
				t.Errorf("%+v: %d, want %d", c.by, n, c.want)
			}
		}
	}))
}

// TestRatesAreForgotten when they are full, and are never too many; what is in use is kept.
func TestRatesAreForgotten(t *testing.T) {
	t.Run("full", bubble(func(t *testing.T) {
		r := newRates(Rate{PerSecond: 1, Burst: 10}, "x")
		for i := range 1000 {
			_ = r.take(models.Caller{User: fmt.Sprint(i)})
		}
		busy := models.Caller{User: "busy"}
		n, _ := taken(r, busy)
		for range 60 { // as many as come in
			time.Sleep(time.Second - refusalPause)
			more, _ := taken(r, busy)
			n += more
		}
		if n > 10+60 {
			t.Errorf("%d were let through", n)
		}
		if kept := len(r.young) + len(r.aged); kept > 2 {
			t.Errorf("%d buckets are kept", kept)
		}
	}))
	t.Run("many", bubble(func(t *testing.T) {
		r := newRates(Rate{PerSecond: 0.001, Burst: 1000}, "x")
		for i := range 3 * maxBuckets {
			_ = r.take(models.Caller{User: fmt.Sprint(i)})
			if kept := len(r.young) + len(r.aged); kept > maxBuckets {
				t.Fatalf("%d buckets are kept", kept)
			}
		}
	}))
}
