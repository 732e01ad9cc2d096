package jsonschema_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"attune"
	"attune/internal/jsonschema"
)

// hostile are documents whose shape takes much memory for their size, when they are read in the usual way.
func hostile(bytes int) map[string]string {
	list := func(item string) string { return "[" + strings.Repeat(item+",", bytes/(len(item)+1)) + item + "]" }
	var names, escaped, numbers strings.Builder
	for i := 0; names.Len() < bytes; i++ {
		fmt.Fprintf(&names, `"%x":0,`, i)
		fmt.Fprintf(&escaped, `"\u0061%x":0,`, i)
		fmt.Fprintf(&numbers, `%d,`, i)
	}
	long := strings.Repeat("n", bytes/2)
	return map[string]string{
		"numbers":         list("0"),
		"lists":           list("[]"),
		"lists of lists":  list("[[[[[[[[]]]]]]]]"),
		"objects":         list(`{"":0}`),
		"objects in some": list(`{"a":{"a":{"a":{}}}}`),
		"digits":          list(strings.Repeat("7", 400)),
		"exponents":       list("1e400"),
		"other numbers":   "[" + numbers.String() + "0.5]",
		"names":           "{" + names.String() + `"z":0}`,
		"escaped names":   "{" + escaped.String() + `"z":0}`,
		"text":            `["` + strings.Repeat(",", bytes) + `"]`,
		"escapes":         `["` + strings.Repeat(`\u0061`, bytes/6) + `"]`,
		"a long name":     `{"` + long + `":` + list("0")[:bytes/4] + "0]}",
		"unclosed":        strings.Repeat("[", bytes),
		"half":            list("0")[:bytes/2],
	}
}

// usual are schemas as people write them.
var usual = map[string]string{
	"none":  ``,
	"open":  `{"type":"array","items":{"type":"string"}}`,
	"forms": `{"anyOf":[` + forms("array") + `]}`,
	"forms inside": `{"items":{"anyOf":[{"type":"string"},{"type":"boolean"},{"type":"object","required":["id"]},
		{"type":"array","minItems":2},{"const":5}]},"additionalProperties":{"type":"string"}}`,
	"one of": `{"oneOf":[` + forms("object") + `,` + forms("array") + `]}`,
	"unique": `{"uniqueItems":true}`,
	"unseen": `{"allOf":[{"anyOf":[{"prefixItems":[true]},{"minItems":1}]}],
		"unevaluatedItems":false,"unevaluatedProperties":false}`,
	"integers":  `{"items":{"type":"integer","minimum":1,"multipleOf":3},"additionalProperties":{"enum":[0,"a"]}}`,
	"named":     `{"type":"object","properties":{"a":{"type":"string"}},"patternProperties":{"^f":{"type":"null"}}}`,
	"excluding": `{"not":{"items":{"type":"number"},"additionalProperties":{"type":"number"}}}`,
}

func forms(kind string) string {
	var all []string
	for _, item := range []string{"string", "boolean", "null", "integer", "object"} {
		all = append(all, fmt.Sprintf(`{"type":%q,"items":{"type":%q},"additionalProperties":{"type":%q}}`, kind, item, item))
	}
	return strings.Join(all, ",")
}

// What checking a document allocates in all bounds what it takes at one time.
//
//nolint:paralleltest // it measures the memory of the process
func TestMemoryIsBounded(t *testing.T) {
	const megabyte = 1 << 20
	for _, size := range []int{megabyte / 8, 16 * megabyte} {
		for shape, text := range hostile(size) {
			if size > megabyte && shape != "numbers" && shape != "objects" {
				continue
			}
			for name, schema := range usual {
				if size > megabyte && name != "none" && name != "forms" && name != "unique" {
					continue
				}
				if name == "integers" && (shape == "exponents" || shape == "digits") {
					continue // exact arithmetic leaves garbage, a few kilobytes at one time
				}
				s := mustCompile(t, schema)
				allocated, took := cost(func() { _ = s.Check(t.Context(), "result", json.RawMessage(text)) })
				if most := uint64(min(16*len(text)+megabyte, 128*megabyte)); allocated > most {
					t.Errorf("%d bytes of %s, checked against %q, took %d KiB, %.1f times the size",
						len(text), shape, name, allocated>>10, float64(allocated)/float64(len(text)))
				}
				if took > 2*time.Minute { // some seconds, but for the race detector on a busy host
					t.Errorf("%d bytes of %s, checked against %q, took %s", len(text), shape, name, took)
				}
			}
		}
	}
}

func cost(do func()) (allocated uint64, took time.Duration) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	do()
	took = time.Since(start)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, took
}

// Patterns times names, and texts times patterns, would take minutes. The bound is one of work, not of the time that a
// busy host takes for it, so that a document is always accepted or always refused.
func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	var patterns, names []string
	for i := range 1000 {
		patterns = append(patterns, fmt.Sprintf(`"^k%d.*x$":{"type":"string"}`, i))
	}
	for i := range 40_000 {
		names = append(names, fmt.Sprintf(`"k%d-%s":0`, i, strings.Repeat("y", 10)))
	}
	for name, test := range map[string]struct{ schema, document string }{
		"names":  {`{"patternProperties":{` + strings.Join(patterns, ",") + `}}`, `{` + strings.Join(names, ",") + `}`},
		"a text": {`{"items":{"pattern":"^(([a-f]{1,9}x?){1,50}y?){1,2}$"}}`, `["` + strings.Repeat("abcdef", 1<<20) + `"]`},
		"parts": {
			`{"items":{"allOf":[` + strings.Repeat(`{"type":"number"},`, 1900) + `true]}}`,
			"[" + strings.Repeat("0,", 1<<20) + "0]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustCompile(t, test.schema)
			err := s.Check(t.Context(), "result", json.RawMessage(test.document))
			if texts := problemTexts(err); len(texts) != 1 || !strings.Contains(texts[0], "takes too long to check") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	s := mustCompile(t, `{"additionalProperties":{"items":{"type":"string"}}}`)
	document := `{"` + strings.Repeat("n", 1<<16) + `":[` + strings.Repeat("0,", 10_000) + `0]}`
	err := s.Check(t.Context(), "result", json.RawMessage(document))
	texts := problemTexts(err)
	if len(texts) != 51 || texts[50] != "and more" {
		t.Errorf("%d problems, the last one is %q", len(texts), texts[len(texts)-1])
	}
	if size := len(strings.Join(texts, "")); size > 50<<10 {
		t.Errorf("the problems have %d bytes", size)
	}
}

// A check ends with its context, both while it goes on and while it waits for memory.
func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	s := mustCompile(t, `{"items":{"type":"number"}}`)
	err := s.Check(ctx, "result", json.RawMessage("["+strings.Repeat("0,", 1<<20)+"0]"))
	if !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer end()
	_, err = s.Apply(late, "parameters", json.RawMessage(`{"a":["`+strings.Repeat("x", 1<<20)+`"]}`))
	if attune.CodeOf(err) != attune.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

// The names of a schema's parts are in all paths below them.
//
//nolint:paralleltest // it measures the memory of the process
func TestSchemasAreBounded(t *testing.T) {
	long := strings.Repeat("n", 60<<10)
	wrong := strings.Repeat(`5,`, 30<<10) + "5"
	for name, schema := range map[string]string{
		"long names":  `{"properties":{"` + long + `":{"properties":{` + members(4000, `{}`) + `}}}}`,
		"long, wrong": `{"properties":{"` + long + `":{"properties":{` + members(4000, `{"type":5}`) + `}}}}`,
		"wrong words": `{"required":[` + wrong + `]}`,
		"wrong types": `{"type":[` + wrong + `]}`,
		"wrong parts": `{"properties":{` + members(8000, `5`) + `}}`,
		"patterns": `{"patternProperties":{` +
			strings.ReplaceAll(members(900, `{}`), `"p`, `"[a-z]{1,50}`) + `}}`,
		"patterns of few letters": `{"pattern":"` + strings.Repeat("a{1,900}", 100) + `"}`,
	} {
		var err error
		allocated, took := cost(func() { _, err = jsonschema.Compile(json.RawMessage(schema)) })
		if attune.CodeOf(err) != attune.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
		if allocated > 256<<20 || took > 10*time.Second || len(err.Error()) > 200<<10 {
			t.Errorf("%s took %d MiB and %s; its error has %d bytes", name, allocated>>20, took, len(err.Error()))
		}
	}
}

func members(n int, value string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"p%d":%s`, i, value)
	}
	return strings.Join(all, ",")
}
