package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// build says which build this is, as far as the Go command has written it down: it does so in a clone, and not in a
// directory without version control.
type build struct {
	// Version is a tag, or what Go makes of a commit.
	Version string `json:"version"`
	Commit  string `json:"commit,omitzero"`
	// Date is when the commit was made, in RFC 3339.
	Date string `json:"date,omitzero"`
	// Modified tells that there were changes beside the commit.
	Modified bool   `json:"modified,omitzero"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is the build in a line.
func (b build) String() string { return fmt.Sprintf("%s %s %s", b.Version, b.Go, b.Platform) }
