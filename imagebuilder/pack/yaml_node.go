package pack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"attune"
)

// yamlNode is a value of a YAML file and the line it begins on.
type yamlNode struct {
	line int
	// value is nil, bool, string, json.Number, []*yamlNode or yamlMap.
	value any
	// plain is how a value that is no string stands in the file.
	plain string
}

// yamlMap is an object in the order of the file.
type yamlMap []yamlMember

type yamlMember struct {
	name string
	line int
	node *yamlNode
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// convertYAML turns the parser's tree into ours.
func convertYAML(n ast.Node, depth int) (*yamlNode, *attune.Problem) {
	if n == nil {
		return &yamlNode{line: 1}, nil
	}
	if depth > maxYAMLDepth {
		return nil, yamlProblem(n, "nests deeper than %d levels", maxYAMLDepth)
	}
	node := &yamlNode{line: n.GetToken().Position.Line}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		node.value, node.plain = n.Value, n.Token.Value
	case *ast.IntegerNode:
		node.value, node.plain = integerOf(n), n.Token.Value
	case *ast.FloatNode:
		node.value, node.plain = floatOf(n), n.Token.Value
	case *ast.StringNode:
		if node.value = n.Value; n.Token.Type == token.StringType && jsonNumber.MatchString(n.Value) {
			node.value, node.plain = json.Number(n.Value), n.Value // too large for the parser, or like 1e3
		}
	case *ast.LiteralNode:
		node.value = n.Value.Value
	case *ast.SequenceNode:
		return convertList(n, node, depth)
	case *ast.MappingNode:
		return convertMap(n.Values, node, depth)
	case *ast.MappingValueNode:
		return convertMap([]*ast.MappingValueNode{n}, node, depth)
	default:
		return nil, yamlProblem(n, "has something that JSON does not: %s", n.Type())
	}
	if text, ok := node.value.(string); ok && strings.ContainsRune(text, 0) {
		return nil, yamlProblem(n, "has a NUL character in a string")
	}
	return node, nil
}

func convertList(n *ast.SequenceNode, node *yamlNode, depth int) (*yamlNode, *attune.Problem) {
	list := make([]*yamlNode, 0, len(n.Values))
	for _, value := range n.Values {
		item, problem := convertYAML(value, depth+1)
		if problem != nil {
			return nil, problem
		}
		list = append(list, item)
	}
	node.value = list
	return node, nil
}

func convertMap(values []*ast.MappingValueNode, node *yamlNode, depth int) (*yamlNode, *attune.Problem) {
	object := make(yamlMap, 0, len(values))
	lines := map[string]int{}
	for _, value := range values {
		name, problem := keyOf(value.Key)
		if problem != nil {
			return nil, problem
		}
		line := value.Key.GetToken().Position.Line
		if first, twice := lines[name]; twice {
			return nil, yamlProblem(value.Key, "has the key %q twice; the first is in line %d", shown(name), first)
		}
		lines[name] = line
		child, problem := convertYAML(value.Value, depth+1)
		if problem != nil {
			return nil, problem
		}
		object = append(object, yamlMember{name: name, line: line, node: child})
	}
	if len(object) > 0 {
		node.line = object[0].line
	}
	node.value = object
	return node, nil
}

// keyOf reads a key, which is a string as it stands in the file: 1 and true are names, too.
func keyOf(key ast.MapKeyNode) (string, *attune.Problem) {
	switch key := key.(type) {
	case *ast.StringNode:
		if strings.ContainsRune(key.Value, 0) {
			return "", yamlProblem(key, "has a NUL character in a key")
		}
		return key.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return key.GetToken().Value, nil
	default:
		return "", yamlProblem(key, "has a key that is not a plain name")
	}
}

// integerOf keeps the digits of a number that JSON can write, and turns 0x1F and 1_000 into one.
func integerOf(n *ast.IntegerNode) any {
	if jsonNumber.MatchString(n.Token.Value) {
		return json.Number(n.Token.Value)
	}
	return json.Number(fmt.Sprint(n.Value))
}

func floatOf(n *ast.FloatNode) any {
	if jsonNumber.MatchString(n.Token.Value) {
		return json.Number(n.Token.Value)
	}
	return json.Number(strconv.FormatFloat(n.Value, 'g', -1, 64))
}

// kind is what a person calls the type of the value.
func (n *yamlNode) kind() string {
	switch n.value.(type) {
	case bool:
		return "true or false"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []*yamlNode:
		return "a list"
	case yamlMap:
		return "an object"
	default:
		return "empty"
	}
}

// writeJSON writes the value with its members in the order of the file.
func (n *yamlNode) writeJSON(to *bytes.Buffer) error {
	switch value := n.value.(type) {
	case []*yamlNode:
		to.WriteByte('[')
		for i, item := range value {
			if i > 0 {
				to.WriteByte(',')
			}
			if err := item.writeJSON(to); err != nil {
				return err
			}
		}
		to.WriteByte(']')
		return nil
	case yamlMap:
		to.WriteByte('{')
		for i, m := range value {
			if i > 0 {
				to.WriteByte(',')
			}
			name, err := json.Marshal(m.name)
			if err != nil {
				return err
			}
			to.Write(name)
			to.WriteByte(':')
			if err := m.node.writeJSON(to); err != nil {
				return err
			}
		}
		to.WriteByte('}')
		return nil
	default:
		text, err := json.Marshal(value)
		to.Write(text)
		return err
	}
}
