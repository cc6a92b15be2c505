// Command openapi makes OpenAPI 3.0 of the Swagger 2.0 that swag writes. What 2.0 cannot say it adds: from
// rules that hold for every route, and from the extensions in the comments of the handlers.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
)

// exampleExtension is where the example of a parameter waits for OpenAPI.
const exampleExtension = "x-example"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: openapi DIRECTORY, from the root of the repository: reads swagger.json there, and writes openapi.json")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(directory string) error {
	text, err := os.ReadFile(filepath.Join(directory, "swagger.json")) //nolint:gosec // it is make that says where
	if err != nil {
		return err
	}
	document, err := convert(text)
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, document, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, "openapi.json"), append(pretty.Bytes(), '\n'), 0o600) //nolint:gosec // likewise
}

// convert gives the document of OpenAPI for that of Swagger.
func convert(swagger []byte) ([]byte, error) {
	swagger, err := keepExamples(swagger)
	if err != nil {
		return nil, err
	}
	var two openapi2.T
	if err := json.Unmarshal(swagger, &two); err != nil {
		return nil, err
	}
	three, err := openapi2conv.ToV3(&two)
	if err != nil {
		return nil, err
	}
	if err := complete(three); err != nil {
		return nil, err
	}
	text, err := json.Marshal(three)
	if err != nil {
		return nil, err
	}
	text = bytes.ReplaceAll(renameSchemas(text), []byte(`"`+firstJSON+`":`), []byte(`"application/json":`))
	loaded, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return text, loaded.Validate(context.Background())
}

// keepExamples saves the examples of parameters, which swag writes although Swagger has none there, from being lost.
func keepExamples(swagger []byte) ([]byte, error) {
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []map[string]any `json:"parameters"`
		} `json:"paths"`
	}
	var tree map[string]any
	if err := errors.Join(json.Unmarshal(swagger, &document), json.Unmarshal(swagger, &tree)); err != nil {
		return nil, err
	}
	for path, operations := range document.Paths {
		for method, operation := range operations {
			for _, parameter := range operation.Parameters {
				if example, found := parameter["example"]; found {
					parameter[exampleExtension] = example
				}
			}
			if operation.Parameters != nil {
				tree["paths"].(map[string]any)[path].(map[string]any)[method].(map[string]any)["parameters"] = operation.Parameters
			}
		}
	}
	return json.Marshal(tree)
}
