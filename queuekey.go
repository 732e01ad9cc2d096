package attune

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

const (
	// maxKeyBytes is the longest value of a parameter that is in a queue's key unchanged.
	maxKeyBytes = 256
	// maxQueueKeyBytes is the longest key that is kept unchanged. An index of PostgreSQL takes 2704 bytes, with the
	// action's ref.
	maxQueueKeyBytes = 2048
)

// QueueKey is the key of the queue that parameters belong to: a JSON object of the named ones, "" when none are named.
// A missing parameter is null. A long value is replaced by its digest, and so is a long key. Equal values have equal
// texts: 10, 10.0 and 1e1 are the same number.
func QueueKey(names []string, parameters json.RawMessage) (string, error) {
	if len(names) == 0 {
		return "", nil
	}
	given, err := members(names, parameters)
	if err != nil {
		return "", fmt.Errorf("read parameters for the queue's key: %w", err)
	}
	key := make(map[string]any, len(names))
	for _, name := range names {
		value := plain(given[name])
		// Marshaling sorts the members of objects, so that equal values are equal texts.
		text, err := json.Marshal(value)
		if err != nil {
			return "", fmt.Errorf("encode %s for the queue's key: %w", name, err)
		}
		if len(text) > maxKeyBytes {
			value = "sha256:" + digest(text)
		}
		key[name] = value
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(key)
	if text.Len() > maxQueueKeyBytes {
		return `{"sha256":"` + digest(text.Bytes()) + `"}`, err
	}
	return strings.TrimSuffix(text.String(), "\n"), err
}

// members reads the named members of an object; the others may be large.
func members(names []string, object json.RawMessage) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber() // a number keeps all of its digits
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, errors.Join(err, errors.New("they are not an object"))
	}
	given := make(map[string]any, len(names))
	var skipped json.RawMessage
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		if text, _ := name.(string); slices.Contains(names, text) {
			var value any
			err = decoder.Decode(&value)
			given[text] = value
		} else {
			err = decoder.Decode(&skipped)
		}
		if err != nil {
			return nil, err
		}
	}
	return given, nil
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// maxPlainDigits is the longest number that is written without an exponent: 1e400 has six bytes where it came from.
const maxPlainDigits = 64

// plain writes the numbers in a JSON value without needless zeros, and without exponents where they are short.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, ok := new(big.Rat).SetString(v.String()); ok {
			digits, _ := n.FloatPrec()
			return json.Number(short(n.FloatString(digits)))
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return value
}

// short writes a long number without the zeros at its ends, and with an exponent in their place.
func short(number string) string {
	if len(number) <= maxPlainDigits {
		return number
	}
	number, negative := strings.CutPrefix(number, "-")
	whole, fraction, _ := strings.Cut(number, ".")
	digits := strings.TrimRight(whole+fraction, "0")
	power := len(whole) - len(digits)
	digits = strings.TrimLeft(digits, "0")
	if negative {
		digits = "-" + digits
	}
	return fmt.Sprintf("%se%d", digits, power)
}

// CheckKey makes sure that the concurrency key names properties of an action's parameter schema.
func (p Policy) CheckKey(parameters json.RawMessage) error {
	if p.Concurrency == nil || len(p.Concurrency.Key) == 0 {
		return nil
	}
	var schema struct {
		Properties map[string]any `json:"properties"`
	}
	if len(parameters) > 0 {
		if err := json.Unmarshal(parameters, &schema); err != nil {
			return fmt.Errorf("read the schema of the parameters: %w", err)
		}
	}
	known := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		known = append(known, name)
	}
	slices.Sort(known)
	for i, name := range p.Concurrency.Key {
		if !slices.Contains(known, name) {
			return Invalid("the policy does not fit the action", Problem{
				Field:   fmt.Sprintf("concurrency.key[%d]", i),
				Message: fmt.Sprintf("%q is not a parameter of the action; it has: %s", name, strings.Join(known, ", ")),
			})
		}
	}
	return nil
}
