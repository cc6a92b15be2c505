package app

import "testing"

func TestMaxClients(t *testing.T) {
	tests := map[string]struct{ configured, descriptors, want int }{
		"configured":                 {configured: 5, descriptors: 1024, want: 5},
		"configured, without limit":  {configured: 5, want: 5},
		"many descriptors":           {descriptors: 20_000, want: 19_000},
		"a quarter is as much":       {descriptors: 4000, want: 3000},
		"few descriptors":            {descriptors: 1024, want: 768},
		"very few":                   {descriptors: 64, want: 48},
		"descriptors without limit":  {want: 0},
		"configured, beyond a limit": {configured: 9999, descriptors: 64, want: 48},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := maxClients(tt.configured, tt.descriptors); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
