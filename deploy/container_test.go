package deploy_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fanfare/deploy/bare"
)

// image is what the steps of a Containerfile make, without an engine: directories instead of layers.
type image struct {
	t *testing.T
	// context is the directory that is built, and dir has the roots of the stages.
	context, dir string
	stages       map[string]string
	// Of the present stage: its root, and what its processes have.
	root, workDir string
	user          string
	environ       []string
	entrypoint    []string
	health        []string
	volumes       []string
}

// TestContainer carries out the steps of the Containerfile on what is committed, and runs what comes of it as an engine would: as
// its user, with its environment, in a root that has nothing else.
func TestContainer(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "--quiet", "..", filepath.Join(dir, "context")).CombinedOutput(); err != nil { //nolint:gosec // the test's own
		t.Fatalf("%v: %s", err, out)
	}
	i := &image{t: t, context: filepath.Join(dir, "context"), dir: dir, stages: make(map[string]string)}
	for _, step := range stepsOf(t, "Containerfile") {
		instruction, rest, _ := strings.Cut(step, " ")
		i.carryOut(instruction, strings.TrimSpace(rest))
	}
	if i.user != "65532:65532" || len(i.entrypoint) == 0 || len(i.health) < 2 || !slices.Contains(i.environ, "FANFARE_SERVER_ADDRESS=:8080") {
		t.Fatalf("%+v", i)
	}
	if !slices.Equal(i.volumes, []string{i.workDir}) {
		t.Errorf("the volumes are %v, and it works in %s", i.volumes, i.workDir)
	}
	if _, err := os.Stat(filepath.Join(i.root, "etc/ssl/certs/ca-certificates.crt")); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(i.root, "LICENSES.txt")); err != nil || !strings.Contains(string(text), "github.com/gofiber/fiber/v2 v2.") {
		t.Errorf("no licences: %v", err)
	}
	root := bare.Root{T: t, Dir: i.root, User: 65532, WorkDir: i.workDir, Command: i.entrypoint, Environ: i.environ}
	if out := root.Print("version"); !strings.Contains(out, "\ncommit ") {
		t.Errorf("it does not know its commit: %s", out)
	}
	// It is open to the network, so it does not start before it knows who may do what, and says how to tell it.
	if _, complaint, err := root.Run(); err == nil || !strings.Contains(complaint, "auth:") || !strings.Contains(complaint, "server.address") {
		t.Errorf("without authentication: %v\n%s", err, complaint)
	}
	root.Environ = append(root.Environ, "FANFARE_AUTH_ANONYMOUS_SUBSCRIBE=>", "FANFARE_AUTH_ANONYMOUS_PUBLISH=>", "FANFARE_SERVER_ADDRESS=127.0.0.1:0")
	root.Try()
	// The log is where the volume is.
	root.Environ = append(root.Environ, "FANFARE_ENGINE=nats", "FANFARE_NATS_EMBEDDED=true")
	root.Try()
	if stored, err := os.ReadDir(filepath.Join(i.root, i.workDir)); err != nil || len(stored) == 0 {
		t.Errorf("the volume has %v, %v", stored, err)
	}
	url, stop := root.Serve()
	check := root
	check.Command, check.Environ = i.health, append(check.Environ, "FANFARE_URL="+url)
	check.Print()
	stop()
	if _, _, err := check.Run(); err == nil {
		t.Error("the health check says that a server is alive that is not")
	}
}

// stepsOf reads a Containerfile, one instruction a line.
func stepsOf(t *testing.T, name string) (steps []string) {
	t.Helper()
	text, err := os.ReadFile(name) //nolint:gosec // ours
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			steps = append(steps, line)
		}
	}
	return steps
}

func (i *image) carryOut(instruction, rest string) {
	i.t.Helper()
	words := strings.Fields(rest)
	switch instruction {
	case "FROM":
		i.root, i.workDir, i.environ = filepath.Join(i.dir, "stage-"+words[0]), "/", nil
		if i.makeDir("/"); len(words) == 3 && words[1] == "AS" {
			i.stages[words[2]] = i.root
		}
	case "WORKDIR":
		i.workDir = rest
		i.makeDir(rest)
	case "COPY":
		i.copy(words)
	case "RUN":
		i.run(rest)
	case "USER":
		i.user = rest
	case "ENV":
		i.environ = append(i.environ, words...)
	case "VOLUME":
		i.volumes = words
	case "ENTRYPOINT":
		i.entrypoint = i.list(rest)
	case "HEALTHCHECK":
		_, command, _ := strings.Cut(rest, "CMD ")
		i.health = i.list(command)
	case "LABEL", "EXPOSE", "STOPSIGNAL": // for the engine alone
	default:
		i.t.Fatalf("this test does not know %s", instruction)
	}
}

func (i *image) list(text string) (list []string) {
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		i.t.Fatalf("%s: %v", text, err)
	}
	return list
}

func (i *image) makeDir(path string) {
	if err := os.MkdirAll(filepath.Join(i.root, path), 0o755); err != nil { //nolint:gosec // others look in
		i.t.Fatal(err)
	}
}

// copy copies files, or all of a directory, from the context or another stage. What another stage has from its base image is that
// of this machine.
func (i *image) copy(words []string) {
	from, owner := i.context, ""
	for strings.HasPrefix(words[0], "--") {
		if stage, ok := strings.CutPrefix(words[0], "--from="); ok {
			from = i.stages[stage]
		} else if owner, ok = strings.CutPrefix(words[0], "--chown="); !ok {
			i.t.Fatalf("this test does not know %s", words[0])
		}
		words = words[1:]
	}
	to := words[len(words)-1]
	if !strings.HasPrefix(to, "/") {
		to = filepath.Join(i.workDir, to) + "/"
	}
	i.makeDir(filepath.Dir(to))
	for _, name := range words[:len(words)-1] {
		source := filepath.Join(from, name)
		if _, err := os.Stat(source); errors.Is(err, os.ErrNotExist) && from != i.context {
			source = name
		}
		info, err := os.Stat(source)
		if err != nil {
			i.t.Fatal(err)
		}
		if info.IsDir() {
			source += "/."
		}
		i.shell("/", "cp", "-RL", source, filepath.Join(i.root, to)+strings.TrimPrefix(to, strings.TrimSuffix(to, "/")))
	}
	if owner != "" && os.Getuid() == 0 {
		i.shell("/", "chown", "-R", owner, filepath.Join(i.root, to))
	}
}

// run runs a command in its stage. Paths below /out are those of the stage; all else is this machine's.
func (i *image) run(command string) {
	i.shell(filepath.Join(i.root, i.workDir), "sh", "-ec", strings.ReplaceAll(command, " /out/", " '"+i.root+"'/out/"))
}

func (i *image) shell(dir, name string, args ...string) {
	i.t.Helper()
	cmd := exec.CommandContext(i.t.Context(), name, args...) //nolint:gosec // of the Containerfile
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		i.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}
