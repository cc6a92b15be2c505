package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// licensesName is what the file with the licences is called wherever there is a binary.
const licensesName = "LICENSES.txt"

const licensesHead = `Fanfare contains these modules, and Go's standard library and runtime. Their licences want to be passed on with it.
Swagger UI, in github.com/swaggo/files, has the Apache License 2.0, which stands below github.com/nats-io.
`

// licensesOf gives the licences of what is in a binary: of Go, and of each module in the order of their paths.
func licensesOf(ctx context.Context, binary string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	args := []string{"mod", "download", "-json"}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		args = append(args, module.Path+"@"+module.Version)
	}
	root, err := run(ctx, "", nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	out := bytes.NewBufferString(licensesHead)
	if err := addLicenses(out, "Go "+info.GoVersion, strings.TrimSpace(string(root))); err != nil || len(info.Deps) == 0 {
		return out.Bytes(), err
	}
	found, err := run(ctx, "", nil, "go", args...)
	if err != nil {
		return nil, err
	}
	for modules := json.NewDecoder(bytes.NewReader(found)); ; {
		var module struct{ Path, Version, Dir string }
		if err := modules.Decode(&module); errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		} else if err != nil {
			return nil, err
		}
		if err := addLicenses(out, module.Path+" "+module.Version, module.Dir); err != nil {
			return nil, err
		}
	}
}

// addLicenses adds what is in a directory. There has to be something.
func addLicenses(out *bytes.Buffer, of, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	isLicense := regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|copyright)(\.txt|\.md)?$`)
	found := false
	for _, entry := range entries {
		if entry.IsDir() || !isLicense.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name())) //nolint:gosec // of the module cache
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(out, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 80), of, entry.Name(), bytes.TrimSpace(text))
	}
	if !found {
		return fmt.Errorf("%s has no licence in %s", of, dir)
	}
	return nil
}
