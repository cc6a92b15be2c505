package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestNewLogger(t *testing.T) {
	tests := map[string]struct {
		cfg  LogConfig
		want []string // what each line contains, of one message a level
	}{
		"debug": {
			cfg:  LogConfig{Level: "debug", Format: "text"},
			want: []string{"level=DEBUG msg=m n=1", "level=INFO msg=m n=1", "level=WARN msg=m n=1", "level=ERROR msg=m n=1"},
		},
		"info": {
			cfg:  LogConfig{Level: "info", Format: "text"},
			want: []string{"level=INFO", "level=WARN", "level=ERROR"},
		},
		"warn": {
			cfg:  LogConfig{Level: "warn", Format: "text"},
			want: []string{"level=WARN", "level=ERROR"},
		},
		"error": {
			cfg:  LogConfig{Level: "error", Format: "text"},
			want: []string{"level=ERROR"},
		},
		"JSON": {
			cfg:  LogConfig{Level: "error", Format: "json"},
			want: []string{`"level":"ERROR","msg":"m","n":1}`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			logger := NewLogger(&out, tt.cfg)
			for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				logger.Log(t.Context(), level, "m", "n", 1)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(tt.want), out.String())
			}
			for i, want := range tt.want {
				if !strings.Contains(lines[i], want) {
					t.Errorf("line %d: %s\nwant: %s", i, lines[i], want)
				}
			}
		})
	}
}
