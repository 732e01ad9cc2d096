package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"attune/internal/strictjson"
)

// jsonFormat reads strictly and writes plainly. No error text quotes the body, which may hold a secret.
var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			return fmt.Errorf("encode response: %w", err)
		}
		// A client that has gone away needs no answer.
		_, _ = w.Write(buffer.Bytes())
		return nil
	},
	Unmarshal: func(data []byte, v any) error {
		err := strictjson.Unmarshal(data, v)
		if refused, ok := errors.AsType[*strictjson.Error](err); ok {
			return errors.New(bodyProblem(refused))
		}
		return err
	},
}

// bodyProblem says what is wrong with a body without the names and the text that the error has from it.
func bodyProblem(e *strictjson.Error) string {
	var text string
	switch {
	case errors.Is(e, strictjson.ErrType):
		return "the body does not have the expected types"
	case errors.Is(e, strictjson.ErrUTF8):
		return "the body is not UTF-8"
	case errors.Is(e, strictjson.ErrSyntax):
		text = "the body is not JSON"
	case errors.Is(e, strictjson.ErrTrailing):
		text = "the body goes on after its JSON value"
	case errors.Is(e, strictjson.ErrDuplicate):
		text = "a member is given twice"
	default:
		text = "a value in the body " + e.Err.Error()
	}
	return fmt.Sprintf("%s, at byte %d", text, e.Offset)
}
