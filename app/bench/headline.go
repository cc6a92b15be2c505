package bench

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// headline says what ran, when, on what and how.
func (r *runner) headline() string {
	what := "Fanfare " + commit(r.options.Commit)
	if r.options.URL != "" {
		what = "Fanfare at " + r.options.URL + ", measured by " + commit(r.options.Commit)
	}
	parts := []string{
		what,
		time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH),
		processors(),
		"kernel " + firstOf("/proc/sys/kernel/osrelease"),
	}
	text := strings.Join(parts, "; ") + "."
	who := "The server and the floor"
	if r.options.URL != "" {
		who = "The floor runs here, whatever the server runs on. It"
	}
	if r.options.Pinned {
		text += fmt.Sprintf("\n%s had core %d, the load core %d.", who, r.options.ServerCore, r.options.LoadCore)
	} else {
		text += "\nNot pinned: server, floor and load shared all cores."
	}
	if len(r.options.ServerEnv) > 0 {
		text += "\nThe server had " + strings.Join(r.options.ServerEnv, " ") + "."
	}
	return text
}

// commit is what was given, or what the build knows.
func commit(given string) string {
	info, ok := debug.ReadBuildInfo()
	if given != "" || !ok {
		return cmp.Or(given, missing)
	}
	revision, dirty := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value[:min(len(setting.Value), 12)]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			dirty = "-dirty"
		}
	}
	return cmp.Or(revision+dirty, info.Main.Version, missing)
}

// processors are the model and the number of all cores, of which this process may have
// few.
func processors() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model, cores := "CPU "+missing, 0
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "processor":
			cores++
		case "model name":
			model = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%s, %d cores", model, cmp.Or(cores, runtime.NumCPU()))
}

// firstOf is the text of a small file, or missing.
func firstOf(name string) string {
	text, err := os.ReadFile(name) //nolint:gosec // names are constants
	if err != nil {
		return missing
	}
	return strings.TrimSpace(string(text))
}
