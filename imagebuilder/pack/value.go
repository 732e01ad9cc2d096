package pack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// value is a value in a file of the pack, or where one could be. Reading it notes what is wrong and goes on, so that an
// author sees everything at once.
type value struct {
	reader *manifestReader
	file   string
	// path is the field, such as "resources.memory"; empty for the whole file.
	path string
	line int
	// node is nil where the file has nothing.
	node *yamlNode
	// rule is what the schema says of the value; nil where it says nothing.
	rule *rule
}

func (v value) given() bool { return v.node != nil && v.node.value != nil }

func (v value) refuse(format string, args ...any) {
	v.reader.problem(v.file, v.line, v.path, format, args...)
}

// wrongType says what should be here instead.
func (v value) wrongType(want string) {
	v.refuse("must be %s, is %s", want, v.node.kind())
}

// object reports whether an object is here, and checks that it has all required fields and no unknown ones.
func (v value) object() bool {
	if !v.given() {
		if v.path == "" { // a whole file
			v.refuse("is empty")
		}
		return false
	}
	if _, ok := v.node.value.(yamlMap); !ok {
		v.wrongType("an object")
		return false
	}
	known := v.rule.fields()
	for name, member := range v.members() {
		if !slices.Contains(known, name) {
			member.refuse("is an unknown field%s", meantOrKnown(name, known))
		}
	}
	for _, name := range v.rule.Required {
		if field := v.at(name); !field.given() {
			field.refuse("is required")
		}
	}
	return true
}

// members are those of an object, in the order of the file; none where there is no object.
func (v value) members() iter.Seq2[string, value] {
	return func(yield func(string, value) bool) {
		if v.node == nil {
			return
		}
		object, _ := v.node.value.(yamlMap)
		for _, m := range object {
			if !yield(m.name, v.at(m.name)) {
				return
			}
		}
	}
}

// names are those of an object's members.
func (v value) names() (names []string) {
	for name := range v.members() {
		names = append(names, name)
	}
	return names
}

// at is a member of an object, whether it is there or not.
func (v value) at(name string) value {
	member := value{reader: v.reader, file: v.file, path: name, line: v.line, rule: v.rule.field(name)}
	if v.path != "" {
		member.path = v.path + "." + name
	}
	if v.node == nil {
		return member
	}
	object, _ := v.node.value.(yamlMap)
	for _, m := range object {
		if m.name == name {
			member.line, member.node = m.line, m.node
			return member
		}
	}
	return member
}

// item is one of a list's.
func (v value) item(i int) value {
	list, _ := v.node.value.([]*yamlNode)
	item := value{
		reader: v.reader, file: v.file, path: v.path + "[" + strconv.Itoa(i) + "]", line: list[i].line, node: list[i],
	}
	if v.rule != nil {
		item.rule = v.rule.Items
	}
	return item
}

// below finds the value at a schema's dotted path. Names may have dots themselves, so the tree is asked.
func (v value) below(path string) value {
	if path == "" || v.node == nil {
		return v
	}
	switch node := v.node.value.(type) {
	case yamlMap:
		for _, m := range node {
			if rest, ok := strings.CutPrefix(path, m.name); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				return v.at(m.name).below(strings.TrimPrefix(rest, "."))
			}
		}
	case []*yamlNode:
		index, rest, _ := strings.Cut(strings.TrimPrefix(path, "["), "]")
		if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < len(node) {
			return v.item(i).below(strings.TrimPrefix(rest, "."))
		}
	}
	v.path = strings.TrimPrefix(v.path+"."+path, ".")
	return v
}

// json writes the value as JSON, its numbers as they stand in the file.
func (v value) json() (_ json.RawMessage, ok bool) {
	var text bytes.Buffer
	if err := v.node.writeJSON(&text); err != nil {
		v.refuse("cannot be written as JSON: %v", err)
		return nil, false
	}
	return text.Bytes(), true
}

// meantOrKnown ends a sentence about a name that is none of the known ones.
func meantOrKnown(name string, known []string) string {
	return cmp.Or(didYouMean(name, known), "; known are "+strings.Join(known, ", "))
}
