package jsonschema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// sentence says in a person's words what a value must be.
func sentence(k santhosh.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return typeSentence(k)
	case *kind.Enum:
		return "must be one of " + list(k.Want)
	case *kind.Const:
		return "must be " + list([]any{k.Want})
	case *kind.FalseSchema:
		return unknown
	case *kind.Not:
		return `is a value that the schema excludes with "not"`
	case *kind.Pattern:
		return fmt.Sprintf("must match the pattern %s", k.Want)
	case *kind.Format:
		return "must be a valid " + k.Want
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters, has %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters, has %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items, has %d", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items, has %d", k.Want, k.Got)
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d members, has %d", k.Want, k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d members, has %d", k.Want, k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("must not repeat an item: items %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be greater than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want)
	default:
		return k.LocalizedString(message.NewPrinter(language.English))
	}
}

func typeSentence(k *kind.Type) string {
	want := make([]string, len(k.Want))
	for i, w := range k.Want {
		want[i] = word(w)
	}
	text := "must be " + strings.Join(want, " or ")
	if k.Got == "number" && slices.Contains(k.Want, "integer") {
		return text
	}
	return text + ", is " + word(k.Got)
}

// word is what a person calls a JSON type.
func word(jsonType string) string {
	switch jsonType {
	case "string", "number":
		return "a " + jsonType
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	default:
		return jsonType
	}
}

// maxListed bounds how many values a sentence names.
const maxListed = 20

func list(values []any) string {
	var texts []string
	for i, v := range values {
		if i == maxListed {
			texts = append(texts, "…")
			break
		}
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte("…")
		}
		texts = append(texts, string(text))
	}
	return strings.Join(texts, ", ")
}

// number writes an exact number as people do.
func number(r *big.Rat) string {
	digits, exact := r.FloatPrec()
	if !exact || digits > 20 {
		return r.RatString()
	}
	return r.FloatString(digits)
}
