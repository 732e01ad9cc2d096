package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

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
		err := readBody(data, v)
		if refused, ok := errors.AsType[*strictjson.Error](err); ok {
			return errors.New(bodyProblem(refused))
		}
		return err
	},
}

// bodyWait is how long a body waits for the memory to be read in.
const bodyWait = 10 * time.Second

var (
	errBusy      = errors.New("too many large bodies are being read; try again soon")
	errLargeBody = fmt.Errorf("the body has more than %d values and names outside of parameters", maxOutline)
)

// readBody reads a body into a type of ours, or into the *any by which huma validates it before.
func readBody(data []byte, v any) error {
	ctx, cancel := context.WithTimeout(context.Background(), bodyWait) // huma passes none on
	defer cancel()
	release, err := strictjson.Reserve(ctx, len(data))
	if err != nil {
		return errBusy
	}
	defer release()
	document, err := strictjson.Parse(data)
	if err != nil {
		return err
	}
	left := maxOutline
	outline := outlineOf(document, 0, &left)
	if left < 0 {
		return errLargeBody
	}
	if whole, ok := v.(*any); ok {
		*whole = outline
		return nil
	}
	return document.Unmarshal(v)
}

// maxOutline is how many values a body may have outside of parameters, names included. A batch of 1000 has 5003.
const maxOutline = 10_000

// outlineOf returns a value as huma takes it. It leaves out what is in parameters: the queue checks them by the
// action's schema. left counts what may still come, below 0 the rest is missing.
func outlineOf(d *strictjson.Document, n int, left *int) any {
	if *left--; *left < 0 {
		return nil
	}
	switch d.Kind(n) {
	case strictjson.Object:
		members := map[string]any{}
		for name := n + 1; name < d.Next(n) && *left >= 0; name = d.Next(name + 1) {
			*left--
			if key := d.String(name); key == "parameters" && d.Kind(name+1) == strictjson.Object {
				members[key] = map[string]any{}
			} else {
				members[key] = outlineOf(d, name+1, left)
			}
		}
		return members
	case strictjson.List:
		items := []any{}
		for item := n + 1; item < d.Next(n) && *left >= 0; item = d.Next(item) {
			items = append(items, outlineOf(d, item, left))
		}
		return items
	case strictjson.Number:
		number, _ := strconv.ParseFloat(string(d.Raw(n)), 64) // infinity is beyond every bound
		return number
	default:
		return d.Value(n)
	}
}

// bodyProblem says what is wrong with a body without the names and the text that the error has from it.
func bodyProblem(e *strictjson.Error) string {
	var text string
	switch {
	case errors.Is(e, strictjson.ErrType):
		return "the body does not have the expected types"
	case errors.Is(e, strictjson.ErrUTF8):
		return "the body is not UTF-8"
	case errors.Is(e, strictjson.ErrSurrogate):
		text = "a string in the body " + strictjson.ErrSurrogate.Error()
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
