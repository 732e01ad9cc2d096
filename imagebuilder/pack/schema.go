package pack

import (
	"cmp"
	_ "embed" // for schema.json
	"regexp"
	"strings"
	"sync"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// schema.json is the published JSON Schema of the files that describe a pack. It is also the one place where the names,
// bounds and forms of their fields stand: the reader of the files goes by it.
//
//go:embed schema.json
var schemaText string

// Files that have a schema.
const (
	FilePack   = "pack"   // pack.yaml
	FileAction = "action" // below actions/
	FilePolicy = "policy" // below policies/
)

// Schema returns the JSON Schema of a file, which is one of the above.
func Schema(file string) string {
	return strings.Replace(schemaText, `"$defs"`, `"$ref": "#/$defs/`+file+`",`+"\n  "+`"$defs"`, 1)
}

// rule is the part of a schema that the reader goes by.
type rule struct {
	Ref        string     `json:"$ref"`
	Properties properties `json:"properties"`
	Required   []string   `json:"required"`
	Items      *rule      `json:"items"`
	Enum       []string   `json:"enum"`
	Minimum    float64    `json:"minimum"`
	Maximum    float64    `json:"maximum"`
	// The zero value of a bound is none.
	MinItems      int            `json:"minItems"`
	MaxItems      int            `json:"maxItems"`
	MaxLength     int            `json:"maxLength"`
	MaxProperties int            `json:"maxProperties"`
	PropertyNames *rule          `json:"propertyNames"`
	Pattern       *regexp.Regexp `json:"pattern"`
	// PatternMessage says what the pattern asks for. Editors show it, too.
	PatternMessage string `json:"patternErrorMessage"`
}

// properties are the fields of an object, in the order of the schema.
type properties []property

type property struct {
	name string
	rule *rule
}

// UnmarshalJSONFrom reads an object and keeps its order.
func (p *properties) UnmarshalJSONFrom(from *jsontext.Decoder) error {
	for {
		token, err := from.ReadToken()
		switch {
		case err != nil || token.Kind() == jsontext.KindEndObject:
			return err
		case token.Kind() == jsontext.KindBeginObject:
			continue
		}
		next := property{name: token.String(), rule: &rule{}}
		if err := jsonv2.UnmarshalDecode(from, next.rule); err != nil {
			return err
		}
		*p = append(*p, next)
	}
}

// rules are the definitions of the schema, by name.
var rules = sync.OnceValue(func() map[string]*rule {
	var schema struct {
		Defs map[string]*rule `json:"$defs"`
	}
	if err := jsonv2.Unmarshal([]byte(schemaText), &schema); err != nil {
		panic(err) // The schema is a part of the program.
	}
	for _, r := range schema.Defs {
		r.resolve(schema.Defs)
	}
	return schema.Defs
})

// resolve puts what references mean in their place. The schema has no recursion.
func (r *rule) resolve(defs map[string]*rule) {
	if name, ok := strings.CutPrefix(r.Ref, "#/$defs/"); ok {
		least, most := r.Minimum, r.Maximum
		*r = *defs[name]
		r.Minimum, r.Maximum = cmp.Or(least, r.Minimum), cmp.Or(most, r.Maximum)
	}
	for _, p := range r.Properties {
		p.rule.resolve(defs)
	}
	if r.Items != nil {
		r.Items.resolve(defs)
	}
}

// field is the rule of an object's field, nil where the object has no such field.
func (r *rule) field(name string) *rule {
	if r == nil {
		return nil
	}
	for _, p := range r.Properties {
		if p.name == name {
			return p.rule
		}
	}
	return nil
}

// fields are the names of an object's fields.
func (r *rule) fields() []string {
	names := make([]string, 0, len(r.Properties))
	for _, p := range r.Properties {
		names = append(names, p.name)
	}
	return names
}
