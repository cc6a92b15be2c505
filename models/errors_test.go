package models_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"fanfare/models"
)

// TestCodes: the list of codes has all constants.
func TestCodes(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants []models.Code
	ast.Inspect(file, func(node ast.Node) bool {
		declaration, ok := node.(*ast.GenDecl)
		if !ok || declaration.Tok != token.CONST {
			return true
		}
		ast.Inspect(declaration, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok {
				constants = append(constants, models.Code(strings.Trim(literal.Value, `"`)))
			}
			return true
		})
		return false
	})
	if codes := models.Codes(); len(constants) == 0 || !slices.Equal(codes, constants) {
		t.Errorf("the codes are %q, and the list has %q", constants, codes)
	}
}
