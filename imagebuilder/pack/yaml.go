package pack

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"attune"
)

// Bounds of a YAML file. The depth is checked before the parser runs, because the parser recurses.
const (
	maxYAMLBytes  = 1 << 20
	maxYAMLTokens = 50_000
	maxYAMLDepth  = 64
)

// parseYAML reads a file of one document: the part of YAML that is JSON with less punctuation. What can make a small
// file large or mean something else than it shows (anchors, aliases, merge keys, tags) is refused.
func parseYAML(text []byte) (*yamlNode, *attune.Problem) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if offset, bad := invalidUTF8(text); bad {
		return nil, &attune.Problem{Line: lineAt(text, offset), Message: "is not UTF-8"}
	}
	tokens := lexer.Tokenize(string(text))
	if problem := checkTokens(tokens); problem != nil {
		return nil, problem
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // the conversion names all duplicates
	if err != nil {
		return nil, syntaxProblem(err)
	}
	switch len(file.Docs) {
	case 0:
		return &yamlNode{line: 1}, nil
	case 1:
		return convertYAML(file.Docs[0].Body, 0)
	default:
		return nil, yamlProblem(file.Docs[1].Body, "begins a second document; a file has one")
	}
}

// checkTokens refuses tokens that are too many, too deep or not allowed, before the parser sees them.
func checkTokens(tokens token.Tokens) *attune.Problem {
	if len(tokens) > maxYAMLTokens {
		return &attune.Problem{Message: fmt.Sprintf("has more than %d elements", maxYAMLTokens)}
	}
	flow, line, onLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, onLine = t.Position.Line, 0
		}
		wrong := ""
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			wrong = "has an anchor, an alias or a merge key (&, *, <<); write the value out"
		case token.TagType:
			wrong = "has a tag (!); leave it out"
		case token.DirectiveType:
			wrong = "has a directive (%); leave it out"
		case token.MappingKeyType:
			wrong = "has a key that begins with a question mark; write it as name: value"
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			onLine++
		}
		if flow+onLine > maxYAMLDepth {
			wrong = fmt.Sprintf("nests deeper than %d levels", maxYAMLDepth)
		}
		if wrong != "" {
			return &attune.Problem{Line: line, Message: wrong}
		}
	}
	return nil
}

func syntaxProblem(err error) *attune.Problem {
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok && syntax.Token != nil {
		return &attune.Problem{
			Line:    syntax.Token.Position.Line,
			Message: "is not valid YAML, here or in the next line: " + plainSyntax(syntax.Message),
		}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return &attune.Problem{Message: "is not valid YAML: " + first}
}

// plainSyntax rewords the parser's most frequent messages for people who write YAML.
func plainSyntax(message string) string {
	switch {
	case strings.HasPrefix(message, "mapping value is not allowed"):
		return `wrong indentation, or a text with ": " in it that is not in quotes`
	case strings.HasPrefix(message, "tab character"), strings.HasPrefix(message, "found character '\t'"):
		return "indented with a tab; YAML takes spaces only"
	default:
		return message
	}
}

func yamlProblem(n ast.Node, format string, args ...any) *attune.Problem {
	problem := &attune.Problem{Message: fmt.Sprintf(format, args...)}
	if n != nil {
		problem.Line = n.GetToken().Position.Line
	}
	return problem
}
