package pack

import (
	"encoding/json"
	"slices"
	"strings"
)

// The methods below read a value by its rule. Where there is none, or it is wrong, they return what stands for it.

// text reads a string; ok is false when there is none.
func (v value) text() (_ string, ok bool) {
	if !v.given() {
		return "", false
	}
	text, ok := v.node.value.(string)
	switch {
	case !ok && v.node.plain != "":
		v.refuse("must be a string, is %s; write it in quotes: %q", v.node.kind(), v.node.plain)
	case !ok:
		v.wrongType("a string")
	case v.rule.MaxLength > 0 && len(text) > v.rule.MaxLength:
		v.refuse("must have at most %d bytes, has %d", v.rule.MaxLength, len(text))
		ok = false
	case v.rule.Pattern != nil && !v.rule.Pattern.MatchString(text):
		v.refuse("%s", v.rule.PatternMessage)
		ok = false
	}
	return text, ok
}

// list reads the items of a list.
func (v value) list() (items []value) {
	if !v.given() {
		return nil
	}
	list, ok := v.node.value.([]*yamlNode)
	if !ok {
		v.wrongType("a list")
		return nil
	}
	if v.rule.MaxItems > 0 && len(list) > v.rule.MaxItems {
		v.refuse("must have at most %d items, has %d", v.rule.MaxItems, len(list))
		return nil
	}
	for i := range list {
		items = append(items, v.item(i))
	}
	return items
}

// texts reads a list of distinct strings. What is wrong is among them, so that an index counts the items of the file.
func (v value) texts() (texts []string) {
	for _, item := range v.list() {
		text, isText := item.node.value.(string)
		switch {
		case !item.given(), isText && strings.TrimSpace(text) == "":
			item.refuse("is empty")
		case isText && slices.Contains(texts, text):
			item.refuse("is there twice")
		default:
			item.text()
		}
		texts = append(texts, text)
	}
	return texts
}

// choice reads one of several words; "" when there is none of them.
func (v value) choice() string {
	text, ok := v.text()
	if !ok || slices.Contains(v.rule.Enum, text) {
		return text
	}
	v.refuse("must be one of %s", strings.Join(v.rule.Enum, ", "))
	return ""
}

// integer reads a whole number.
func (v value) integer(missing int64) int64 {
	if !v.given() {
		return missing
	}
	number, ok := v.node.value.(json.Number)
	n, err := number.Int64()
	least, most := int64(v.rule.Minimum), int64(v.rule.Maximum)
	switch {
	case !ok:
		v.wrongType("a whole number")
	case err != nil || n < least || n > most:
		v.refuse("must be a whole number from %d to %d", least, most)
	default:
		return n
	}
	return missing
}

// optional reads a whole number; nil is none.
func (v value) optional() *int {
	if !v.given() {
		return nil
	}
	n := int(v.integer(int64(v.rule.Minimum)))
	return &n
}

// number reads a number.
func (v value) number(missing float64) float64 {
	if !v.given() {
		return missing
	}
	number, ok := v.node.value.(json.Number)
	n, err := number.Float64()
	switch {
	case !ok:
		v.wrongType("a number")
	case err != nil || n < v.rule.Minimum || n > v.rule.Maximum:
		v.refuse("must be a number from %v to %v", v.rule.Minimum, v.rule.Maximum)
	default:
		return n
	}
	return missing
}
