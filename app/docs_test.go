package app_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json"

	"fanfare/models"
)

// TestDocs holds what is written for people to what there is.
func TestDocs(t *testing.T) {
	root := os.DirFS("..")
	pages := pagesBelow(t, root)
	for name, text := range pages {
		t.Run(name, func(t *testing.T) {
			checkLinks(t, root, pages, name)
			checkFiles(t, root, name, text)
			checkTests(t, root, text)
			checkTargets(t, root, text)
			// A path of somebody's machine helps nobody else.
			for _, foreign := range regexp.MustCompile(`(?m)(?:^|[\s(\x60"'])[./~]*(?:home|root|shared|tmp|work)/\S*`).FindAllString(text, -1) {
				t.Errorf("%q is not in the repository", strings.TrimSpace(foreign))
			}
		})
	}
	t.Run("codes", func(t *testing.T) {
		for _, file := range []string{"models/errors.go", "models/close.go"} {
			for _, code := range constants(t, root, file) {
				if !strings.Contains(pages["docs/design.md"], "`"+code+"`") {
					t.Errorf("%s has %s, and docs/design.md does not", file, code)
				}
			}
		}
	})
	t.Run("frames", func(t *testing.T) { checkFrames(t, root, pages["docs/protocol.md"]) })
	t.Run("routes", func(t *testing.T) { checkRoutes(t, pages["README.md"]) })
}

// pagesBelow reads all Markdown files, by name.
func pagesBelow(t *testing.T, root fs.FS) map[string]string {
	t.Helper()
	pages := make(map[string]string)
	for _, name := range filesBelow(t, root, ".md") {
		pages[name] = read(t, root, name)
	}
	if pages["README.md"] == "" || pages["docs/design.md"] == "" {
		t.Fatalf("the pages are not where they should be: %v", slices.Collect(maps.Keys(pages)))
	}
	return pages
}

func filesBelow(t *testing.T, root fs.FS, suffix string) (files []string) {
	t.Helper()
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(name, suffix):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, root fs.FS, name string) string {
	t.Helper()
	text, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkLinks wants every link to lead to a file, and to a heading if it says so. Those
// into the web are not followed.
func checkLinks(t *testing.T, root fs.FS, pages map[string]string, page string) {
	t.Helper()
	for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(pages[page], -1) {
		file, anchor, _ := strings.Cut(match[1], "#")
		if strings.Contains(file, "://") {
			continue
		}
		target := page
		if file != "" {
			target = path.Join(path.Dir(page), file)
		}
		if _, err := fs.Stat(root, target); err != nil {
			t.Errorf("link to %s: %v", match[1], err)
		} else if anchor != "" && !slices.Contains(anchors(pages[target]), anchor) {
			t.Errorf("link to %s: there is no such heading", match[1])
		}
	}
}

// anchors are the names that GitHub gives the headings of a page.
func anchors(text string) (names []string) {
	for _, match := range regexp.MustCompile(`(?m)^#+ +(.+)$`).FindAllStringSubmatch(text, -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, match[1]))
	}
	return names
}

// checkFiles wants every file that is named as `file.ext` to exist, or to be a block of code of the page.
func checkFiles(t *testing.T, root fs.FS, page, text string) {
	t.Helper()
	file := regexp.MustCompile("`([\\w.-][\\w./-]*\\.(?:go|html|json|md|mjs|mod|png|py|yaml|yml))`")
	for _, match := range file.FindAllStringSubmatch(text, -1) {
		_, fromRoot := fs.Stat(root, path.Clean(match[1]))
		_, fromPage := fs.Stat(root, path.Join(path.Dir(page), match[1]))
		isBlock := regexp.MustCompile("(?m)^```\\w+ " + regexp.QuoteMeta(match[1]) + "$").MatchString(text)
		if fromRoot != nil && fromPage != nil && !isBlock {
			t.Errorf("there is no file %s", match[1])
		}
	}
}

// checkTests wants every test that is named to exist.
func checkTests(t *testing.T, root fs.FS, text string) {
	t.Helper()
	var sources strings.Builder
	for _, name := range filesBelow(t, root, "_test.go") {
		sources.WriteString(read(t, root, name))
	}
	for _, name := range regexp.MustCompile("`Test[A-Z]\\w*`").FindAllString(text, -1) {
		if !strings.Contains(sources.String(), "\nfunc "+strings.Trim(name, "`")+"(") {
			t.Errorf("there is no test %s", name)
		}
	}
}

// checkTargets wants every `make x` to exist.
func checkTargets(t *testing.T, root fs.FS, text string) {
	t.Helper()
	makefile := read(t, root, "Makefile")
	for _, match := range regexp.MustCompile("(?m)(?:^|`)make ([a-z0-9-]+)").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(makefile, "\n"+match[1]+":") {
			t.Errorf("there is no make %s", match[1])
		}
	}
}

// checkFrames wants the page to quote the golden frames, and no other.
func checkFrames(t *testing.T, root fs.FS, page string) {
	t.Helper()
	var golden []struct {
		Frame string `json:"frame"`
	}
	if err := json.Unmarshal([]byte(read(t, root, "models/testdata/frames.json")), &golden); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]bool)
	for _, g := range golden {
		want[g.Frame] = true
	}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			if !want[line] {
				t.Errorf("not a golden frame, or quoted twice: %s", line)
			}
			delete(want, line)
		}
	}
	for line := range want {
		t.Errorf("not quoted: %s", line)
	}
}

// constants gives the values of a file's constants.
func constants(t *testing.T, root fs.FS, name string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, read(t, root, name), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.CONST {
			continue
		}
		ast.Inspect(general, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok {
				values = append(values, strings.Trim(literal.Value, `"`))
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Fatalf("%s has no constants", name)
	}
	return values
}

// checkRoutes wants the page to name the routes that the server has, and no other.
func checkRoutes(t *testing.T, page string) {
	t.Helper()
	s := startServer(t)
	named := make(map[string]bool)
	nothing := problemOf(t, s, http.MethodGet, "/nowhere").Detail
	for _, match := range regexp.MustCompile("`([A-Z]+) (/[^`?\\s]*)").FindAllStringSubmatch(page, -1) {
		method, route := match[1], match[2]
		named[method+" "+route] = true
		answer := problemOf(t, s, method, strings.NewReplacer("{name}", "a", "{id}", "b").Replace(route))
		if answer.Detail == nothing || answer.Status == http.StatusMethodNotAllowed {
			t.Errorf("the server has no %s %s: %+v", method, route, answer)
		}
	}
	var spec struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	s.get("/swagger/doc.json", &spec)
	if len(spec.Paths) == 0 {
		t.Fatal("the specification is empty")
	}
	for route, methods := range spec.Paths {
		for method := range methods {
			if want := fmt.Sprintf("%s %s", strings.ToUpper(method), route); !named[want] {
				t.Errorf("README.md does not name %s", want)
			}
		}
	}
}

// problemOf gives the problem that a request is answered with, or none.
func problemOf(t *testing.T, s *server, method, route string) (problem models.Problem) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.address+route, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.Header.Get("Content-Type") != "application/problem+json" {
		return models.Problem{}
	}
	if err := json.Unmarshal(text, &problem); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return problem
}
