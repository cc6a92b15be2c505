package app

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// module is the path that the imports of our own packages begin with.
const module = "fanfare"

// anything, in a rule, allows every import.
const anything = "*"

// rule says what one package may import beside the standard library. A path stands for itself and
// all below it; a path of our own stands for itself alone.
type rule struct {
	imports []string

	// tests is what its test files may import too, beside testLibraries.
	tests []string
}

// architecture is the table of all packages, by directory. The arrows:
// app starts, handlers translate, broker decides, models describe; transport carries.
func architecture() map[string]rule {
	return map[string]rule{
		".": {
			imports: []string{"fanfare/app"},
		},
		"app": {
			imports: []string{anything},
		},
		"app/bench": { // from outside: nothing of our own
			imports: []string{
				"github.com/gobwas/ws",
				"github.com/go-json-experiment/json",
				"github.com/valyala/fasthttp", // the floor's server, and requests that cost little
				"golang.org/x/sync",
				"golang.org/x/sys",
			},
		},
		"app/remote": { // a server from outside
			imports: []string{"fanfare/models", "github.com/go-json-experiment/json"},
		},
		"app/doctor": {
			imports: []string{
				"fanfare/app/remote", "fanfare/models",
				"fanfare/handlers/auth", // what a token says
				"github.com/go-json-experiment/json",
				"github.com/gobwas/ws",
				"github.com/google/uuid",
			},
			tests: []string{anything},
		},
		"app/severable": {}, // a test in all but name
		"clients/go": { // usable without the rest
			imports: []string{
				"github.com/coder/websocket",
				"github.com/google/uuid", // idempotency keys
			},
			tests: []string{anything},
		},
		"handlers": {
			imports: []string{
				"fanfare/broker", "fanfare/transport", "fanfare/models", "fanfare/web", "fanfare/docs", "fanfare/handlers/auth", "fanfare/clients/js",
				"github.com/gofiber/fiber/v2",
				"github.com/gofiber/contrib/websocket",
				"github.com/valyala/fasthttp", // below Fiber: the errors that it answers
				"github.com/swaggo/files/v2",
				"github.com/go-json-experiment/json",
				"github.com/google/uuid",
				"github.com/prometheus/client_golang",
				"github.com/prometheus/common",
				"golang.org/x/time", // rates
				"go.opentelemetry.io/otel",
			},
			tests: []string{anything},
		},
		"handlers/auth": { // who a caller is
			imports: []string{
				"fanfare/models",
				"github.com/golang-jwt/jwt/v5",
				"github.com/MicahParks/jwkset",
				"github.com/MicahParks/keyfunc/v3",
				"github.com/go-json-experiment/json",
				"github.com/hashicorp/golang-lru/v2",
				"golang.org/x/time",
			},
		},
		"broker": {
			imports: []string{
				"fanfare/models",
				"github.com/go-json-experiment/json", // what nodes say to each other
				"github.com/google/uuid",
				"github.com/tidwall/btree",
				"golang.org/x/sync",
			},
			tests: []string{
				"fanfare/broker/enginetest", "fanfare/broker/natsengine", "fanfare/broker/natsengine/natstest",
			},
		},
		"broker/enginetest": { // a test in all but name
			imports: []string{"fanfare/broker", "fanfare/models", "github.com/google/go-cmp"},
		},
		"broker/natsengine": { // the only importer of NATS
			imports: []string{
				"fanfare/broker", "fanfare/models",
				"github.com/nats-io/nats.go",
				"github.com/nats-io/nats-server/v2",
				"github.com/nats-io/nuid", // names of messages and consumers
				"github.com/go-json-experiment/json",
				"github.com/google/uuid",
				"golang.org/x/sync",
				"golang.org/x/time",
			},
			tests: []string{"fanfare/broker/enginetest", "fanfare/broker/natsengine/natstest"},
		},
		"broker/natsengine/natstest": { // a test in all but name
			imports: []string{"github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go"},
		},
		"transport": {
			imports: []string{
				"fanfare/models",
				"github.com/gofiber/contrib/websocket",
				"github.com/fasthttp/websocket",
				"github.com/gobwas/ws", // unmasking
				"golang.org/x/sys",     // epoll
			},
			tests: []string{"github.com/gofiber/fiber/v2"},
		},
		"transport/echo": { // for public protocol suites
			imports: []string{
				"fanfare/transport", "fanfare/models",
				"github.com/gofiber/fiber/v2",
				"github.com/gofiber/contrib/websocket",
				"github.com/gobwas/ws",
			},
		},
		"models": {
			imports: []string{"github.com/go-json-experiment/json"},
		},
		"deploy": { // tests, of files that are no Go
			tests: []string{"fanfare/app", "fanfare/deploy/bare", "github.com/knadh/koanf"},
		},
		"deploy/bare":    {},                                       // a test in all but name
		"deploy/release": {tests: []string{"fanfare/deploy/bare"}}, // a tool, of the standard library alone
		"web":            {},
		"clients/js":     {},
		"docs": { // generated, most of it
			imports: []string{"github.com/swaggo/swag"},
			tests: []string{
				"fanfare/models", "github.com/go-json-experiment/json",
				"github.com/santhosh-tekuri/jsonschema/v6", // frames against AsyncAPI
			},
		},
		"docs/openapi": { // runs when the documents are made, never in the server
			imports: []string{"github.com/getkin/kin-openapi"},
		},
	}
}

// testLibraries may be imported by every test file.
func testLibraries() []string {
	return []string{
		"github.com/google/go-cmp",
		"go.uber.org/goleak",
		"github.com/coder/websocket",
		"github.com/gorilla/websocket",
		"github.com/rogpeppe/go-internal", // scripts of commands
	}
}

func TestArchitecture(t *testing.T) {
	found, err := violations(os.DirFS(".."), architecture())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}

// The check is itself checked: each way to break a rule is reported, and nothing else is.
func TestArchitectureReportsViolations(t *testing.T) {
	rules := map[string]rule{
		".":       {imports: []string{"fanfare/app"}},
		"app":     {imports: []string{anything}},
		"broker":  {imports: []string{"fanfare/models", "golang.org/x/sync"}, tests: []string{"fanfare/broker/suite"}},
		"models":  {},
		"open":    {tests: []string{anything}},
		"missing": {imports: []string{"fanfare/nowhere"}},
	}
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"all is well": {
			files: map[string]string{
				"main.go":                    "// Command x.\npackage main\nimport \"fanfare/app\"",
				"app/app.go":                 "// Package app is.\npackage app\nimport (\"fanfare/broker\"; \"example.com/any\")",
				"broker/doc.go":              "// Package broker is.\npackage broker",
				"broker/a.go":                "package broker\nimport (\"net/http\"; \"fanfare/models\"; \"golang.org/x/sync/errgroup\")",
				"broker/a_test.go":           "package broker\nimport (\"testing\"; \"github.com/google/go-cmp/cmp\"; \"fanfare/models\")",
				"broker/b_test.go":           "package broker_test\nimport (\"fanfare/broker\"; \"fanfare/broker/suite\")",
				"models/m.go":                "// Package models is.\npackage models",
				"open/o.go":                  "// Package open is.\npackage open",
				"open/o_test.go":             "package open_test\nimport (\"fanfare/app\"; \"example.com/any\")",
				"web/node_modules/x/x.go":    "package x",
				"broker/testdata/ignored.go": "package ignored",
				".hidden/h.go":               "package h",
				"docs/readme.md":             "package nothing",
			},
		},
		"an arrow that is not in the table": {
			files: map[string]string{"models/m.go": "// Package models is.\npackage models\nimport \"fanfare/broker\""},
			want:  []string{"models/m.go: models may not import fanfare/broker"},
		},
		"a package below an allowed one of ours": {
			files: map[string]string{"broker/a.go": "// Package broker is.\npackage broker\nimport \"fanfare/models/deep\""},
			want:  []string{"broker/a.go: broker may not import fanfare/models/deep"},
		},
		"a library that is not in the table": {
			files: map[string]string{"broker/a.go": "// Package broker is.\npackage broker\nimport _ \"github.com/nats-io/nats.go\""},
			want:  []string{"broker/a.go: broker may not import github.com/nats-io/nats.go"},
		},
		"a library whose name only begins like an allowed one": {
			files: map[string]string{"broker/a.go": "// Package broker is.\npackage broker\nimport \"golang.org/x/synctest\""},
			want:  []string{"broker/a.go: broker may not import golang.org/x/synctest"},
		},
		"a test library outside of tests": {
			files: map[string]string{"broker/a.go": "// Package broker is.\npackage broker\nimport \"go.uber.org/goleak\""},
			want:  []string{"broker/a.go: broker may not import go.uber.org/goleak"},
		},
		"an arrow from a test": {
			files: map[string]string{
				"broker/a.go":      "// Package broker is.\npackage broker",
				"broker/a_test.go": "package broker\nimport \"fanfare/app\"",
			},
			want: []string{"broker/a_test.go: a test of broker may not import fanfare/app"},
		},
		"what an external test may, from inside": {
			files: map[string]string{
				"open/o.go":      "// Package open is.\npackage open",
				"open/o_test.go": "package open\nimport \"example.com/any\"",
			},
			want: []string{"open/o_test.go: a test of open may not import example.com/any"},
		},
		"a file for another system": {
			files: map[string]string{
				"models/m.go":         "// Package models is.\npackage models",
				"models/m_windows.go": "//go:build windows\n\npackage models\nimport \"golang.org/x/sys/windows\"",
			},
			want: []string{"models/m_windows.go: models may not import golang.org/x/sys/windows"},
		},
		"cgo": {
			files: map[string]string{"models/m.go": "// Package models is.\npackage models\nimport \"C\""},
			want:  []string{"models/m.go: models may not import C"},
		},
		"a package that is not in the table": {
			files: map[string]string{"util/u.go": "// Package util is.\npackage util"},
			want:  []string{"util: not in the table of packages: say there what it may import"},
		},
		"tests alone that are not in the table": {
			files: map[string]string{"util/u_test.go": "package util"},
			want:  []string{"util: not in the table of packages: say there what it may import"},
		},
		"no package comment": {
			files: map[string]string{"models/m.go": "package models"},
			want:  []string{"models: no file has the package comment"},
		},
		"a comment that does not touch the package": {
			files: map[string]string{"models/m.go": "// A licence.\n\npackage models"},
			want:  []string{"models: no file has the package comment"},
		},
		"two package comments": {
			files: map[string]string{
				"models/a.go": "// Package models is.\npackage models",
				"models/b.go": "// Package models is also.\npackage models",
			},
			want: []string{"models: several files have a package comment: a.go, b.go"},
		},
		"a package comment on a test": {
			files: map[string]string{
				"models/a.go":      "// Package models is.\npackage models",
				"models/a_test.go": "// Package models is tested.\npackage models",
			},
			want: []string{"models: several files have a package comment: a.go, a_test.go"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for file, source := range tt.files {
				files[file] = &fstest.MapFile{Data: []byte(source)}
			}
			got, err := violations(files, rules)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// violations checks all Go files below root, whatever system they are for, against the rules.
func violations(root fs.FS, rules map[string]rule) ([]string, error) {
	packages := map[string][]string{} // the Go files by directory
	err := fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && isIgnored(file) {
			return fs.SkipDir
		}
		if !entry.IsDir() && path.Ext(file) == ".go" {
			packages[path.Dir(file)] = append(packages[path.Dir(file)], file)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}

	var found []string
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		r, ok := rules[dir]
		if !ok {
			found = append(found, dir+": not in the table of packages: say there what it may import")
			continue
		}
		v, err := packageViolations(root, dir, packages[dir], r)
		if err != nil {
			return nil, err
		}
		found = append(found, v...)
	}
	return found, nil
}

// isIgnored reports whether the go command passes the directory over, or it holds what npm installed.
func isIgnored(dir string) bool {
	base := path.Base(dir)
	return base == "testdata" || base == "node_modules" || base == "vendor" ||
		dir != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
}

func packageViolations(root fs.FS, dir string, files []string, r rule) ([]string, error) {
	var found, commented []string
	for _, name := range files {
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return nil, err
		}
		if file.Doc != nil {
			commented = append(commented, path.Base(name))
		}
		found = append(found, importViolations(dir, name, file, r)...)
	}

	switch {
	case len(commented) > 1:
		found = append(found, fmt.Sprintf("%s: several files have a package comment: %s", dir, strings.Join(commented, ", ")))
	case len(commented) == 0:
		found = append(found, dir+": no file has the package comment")
	}
	return found, nil
}

func importViolations(dir, name string, file *ast.File, r rule) []string {
	who, allowed := dir, r.imports
	if strings.HasSuffix(name, "_test.go") {
		who = "a test of " + dir
		allowed = slices.Concat(allowed, testLibraries(), []string{path.Join(module, dir)})
		isExternal := strings.HasSuffix(file.Name.Name, "_test")
		for _, extra := range r.tests {
			if extra != anything || isExternal {
				allowed = append(allowed, extra)
			}
		}
	}
	var found []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !mayImport(imported, allowed) {
			found = append(found, fmt.Sprintf("%s: %s may not import %s", name, who, imported))
		}
	}
	return found
}

func mayImport(imported string, allowed []string) bool {
	first, _, _ := strings.Cut(imported, "/")
	if first != module && first != "C" && !strings.Contains(first, ".") {
		return true // the standard library
	}
	for _, a := range allowed {
		if a == anything || imported == a {
			return true
		}
		if first != module && strings.HasPrefix(imported, a+"/") {
			return true
		}
	}
	return false
}
