package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// maxJSONDepth bounds the nesting of a request body. Parameters of people stay below ten.
const maxJSONDepth = 64

// jsonFormat reads strictly and writes plainly. No error text quotes the body, which may hold a secret.
var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			return fmt.Errorf("encode response: %w", err)
		}
		// Whether the client is still there to read does not matter any more.
		_, _ = w.Write(buffer.Bytes())
		return nil
	},
	Unmarshal: func(data []byte, v any) error {
		// huma decodes a body twice: into an any to validate it, then into the handler's type. Once is enough to look.
		if _, first := v.(*any); first {
			if err := checkJSON(data); err != nil {
				return err
			}
		}
		if err := json.Unmarshal(data, v); err != nil {
			return errors.New("the body does not have the expected types")
		}
		return nil
	},
}

// checkJSON refuses what encoding/json forgives: a member given twice (which one counts?), text that is not UTF-8, and
// nesting so deep that working on it costs more than it is worth.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := checkValue(decoder, 0); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the body goes on after its JSON value, at byte %d", decoder.InputOffset())
	}
	return nil
}

func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return notJSON(decoder)
	}
	delimiter, opens := token.(json.Delim)
	if !opens {
		return nil
	}
	if depth == maxJSONDepth {
		return fmt.Errorf("the body nests deeper than %d levels", maxJSONDepth)
	}
	seen := map[string]bool{}
	for decoder.More() {
		if delimiter == '{' {
			if err := checkName(decoder, seen); err != nil {
				return err
			}
		}
		if err := checkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil { // The closing delimiter; the decoder knows whether it is the right one.
		return notJSON(decoder)
	}
	return nil
}

func checkName(decoder *json.Decoder, seen map[string]bool) error {
	token, err := decoder.Token()
	if err != nil {
		return notJSON(decoder)
	}
	name, _ := token.(string)
	if seen[name] {
		return fmt.Errorf("a member is given twice, at byte %d", decoder.InputOffset())
	}
	seen[name] = true
	return nil
}

func notJSON(decoder *json.Decoder) error {
	return fmt.Errorf("the body is not JSON, at byte %d", decoder.InputOffset())
}
