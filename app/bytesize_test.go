package app

import "testing"

func TestByteSizeText(t *testing.T) {
	tests := map[string]struct {
		text string
		want ByteSize
		back string // what String makes of it
	}{
		"zero":             {text: "0", want: 0, back: "0B"},
		"bytes":            {text: "1500001", want: 1500001, back: "1500001B"},
		"KiB":              {text: "64KiB", want: 65536, back: "64KiB"},
		"MiB":              {text: "4MiB", want: 4 << 20, back: "4MiB"},
		"GiB":              {text: "2GiB", want: 2 << 30, back: "2GiB"},
		"more than GiB":    {text: "1TiB", want: 1 << 40, back: "1024GiB"},
		"powers of 1000":   {text: "1MB", want: 1000000, back: "1000000B"},
		"with a space":     {text: "4 MiB", want: 4 << 20, back: "4MiB"},
		"in lower case":    {text: "4mib", want: 4 << 20, back: "4MiB"},
		"with a fraction":  {text: "1.5MiB", want: 1536 << 10, back: "1536KiB"},
		"the largest size": {text: "9223372036854775807", want: 1<<63 - 1, back: "9223372036854775807B"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got ByteSize
			if err := got.UnmarshalText([]byte(tt.text)); err != nil {
				t.Fatal(err)
			}
			if got != tt.want || got.String() != tt.back {
				t.Errorf("got %d %v, want %d %s", got, got, tt.want, tt.back)
			}
			var again ByteSize
			text, _ := got.MarshalText()
			if err := again.UnmarshalText(text); err != nil || again != got {
				t.Errorf("%s came back as %d, %v", text, again, err)
			}
		})
	}
}

func TestByteSizeErrors(t *testing.T) {
	for _, text := range []string{"", "MiB", "-1", "4XB", "4 MiB and more", "9223372036854775808", "8EiB", "1e3", "NaN"} {
		var got ByteSize
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}
