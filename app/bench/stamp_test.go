package bench

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"
)

func TestStamp(t *testing.T) {
	now := time.Now().UnixNano()
	tests := map[string]struct {
		stamp stamp
		size  int
		want  int
	}{
		"small":           {stamp{sent: now}, 0, stampLength},
		"just as long":    {stamp{1, 2, now}, stampLength, stampLength},
		"with padding":    {stamp{255, 12_345, now}, 500, 500},
		"large numbers":   {stamp{maxPublishers - 1, 9_999_999_999, now}, stampLength, stampLength},
		"one more than 9": {stamp{10, 10, 10}, stampLength + 1, stampLength + 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			data := appendStamp(nil, tt.stamp, tt.size)
			if len(data) != tt.want || !json.Valid(data) {
				t.Errorf("%s has %d bytes, want %d", data, len(data), tt.want)
			}
			got, sent, ok := findStamp(appendMessage(nil, "bench.0", data, 200))
			got.sent, _ = strconv.ParseInt(string(sent), 10, 64)
			if !ok || got != tt.stamp {
				t.Errorf("found %+v, %v, want %+v", got, ok, tt.stamp)
			}
		})
	}
}

func TestNoStamp(t *testing.T) {
	tests := map[string]string{
		"nothing":                "",
		"another's message":      `{"type":"message","topic":"bench.0","data":"hello, it is me, with a text of quite some length"}`,
		"cut off":                `{"data":{"bench":"0000-0000000000-`,
		"letters in the number":  `{"data":{"bench":"0000-00000000ab-1795447506699000000-"}}`,
		"letters in the one who": `{"data":{"bench":"00x0-0000000000-1795447506699000000-"}}`,
	}
	for name, payload := range tests {
		t.Run(name, func(t *testing.T) {
			if got, _, ok := findStamp([]byte(payload)); ok {
				t.Errorf("found %+v", got)
			}
		})
	}
}
