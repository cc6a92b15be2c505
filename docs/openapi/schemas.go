package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// requiredFields gives, for each struct of the directories, as package.Name, the JSON names of the fields that are
// always there: those without omitzero. swag knows only the older omitempty.
func requiredFields(directories ...string) (map[string][]string, error) {
	fields := make(map[string][]string)
	for _, directory := range directories {
		names, err := filepath.Glob(filepath.Join(directory, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				if spec, ok := node.(*ast.TypeSpec); ok {
					if body, ok := spec.Type.(*ast.StructType); ok {
						fields[file.Name.Name+"."+spec.Name.Name] = requiredOf(body)
					}
				}
				return true
			})
		}
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("there is no struct in %v", directories)
	}
	return fields, nil
}

func requiredOf(body *ast.StructType) (required []string) {
	for _, field := range body.Fields.List {
		if field.Tag == nil {
			continue
		}
		tag, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			continue
		}
		name, options, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		if name != "" && options != "omitzero" {
			required = append(required, name)
		}
	}
	return required
}

// completeSchemas says which fields are required, and that a field of which nothing is known can be any JSON value.
func completeSchemas(schemas openapi3.Schemas, required map[string][]string) {
	for name, schema := range schemas {
		schema.Value.Required = required[name]
		delete(schema.Value.Extensions, "x-enum-comments")
		for _, property := range schema.Value.Properties {
			if isAnything(property) {
				property.Value.Type, property.Value.Example = nil, map[string]any{"text": "hello"}
			}
		}
	}
}

// isAnything tells whether nothing is known of an object but that it is one, which is how swag puts it.
func isAnything(schema *openapi3.SchemaRef) bool {
	return schema.Value != nil && schema.Value.Type.Is("object") && len(schema.Value.Properties) == 0
}

// exampleOf makes an example of those of the fields.
func exampleOf(schema *openapi3.SchemaRef, schemas openapi3.Schemas) any {
	value := schema.Value
	if name, isRef := strings.CutPrefix(schema.Ref, "#/components/schemas/"); isRef {
		value = schemas[name].Value
	}
	switch {
	case value.Example != nil:
		return value.Example
	case value.Type.Is("array"):
		return []any{exampleOf(value.Items, schemas)}
	case len(value.Properties) > 0:
		example := make(map[string]any)
		for name, property := range value.Properties {
			if part := exampleOf(property, schemas); part != nil {
				example[name] = part
			}
		}
		return example
	default:
		return nil
	}
}
