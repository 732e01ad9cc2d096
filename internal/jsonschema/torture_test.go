package jsonschema

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"attune"
	"attune/internal/strictjson"
)

// TestRandomHostileDocuments checks random documents against random schemas: the bounds of memory and time hold, the
// library says the same of what is small enough for it, and what is accepted can be read by others. make torture lets
// it go on for its duration, or repeats the one case of a seed.
//
//nolint:paralleltest // it measures the memory of the process
func TestRandomHostileDocuments(t *testing.T) {
	duration, err := time.ParseDuration(cmp.Or(os.Getenv("ATTUNE_TORTURE_DURATION"), "2s"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("ATTUNE_TORTURE_SEED"), "0"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	given := seed != 0
	count, accepted := 0, 0
	for end := time.Now().Add(duration); !given && time.Now().Before(end) || given && count == 0; count++ {
		if !given {
			seed = rand.Uint64N(1<<32) + 1
		}
		r := &randomJSON{Rand: rand.New(rand.NewPCG(seed, 0)), room: 1 << (4 + rand.New(rand.NewPCG(seed, 1)).IntN(17))}
		if torment(t, r) {
			accepted++
		}
		if t.Failed() {
			t.Fatalf("play it again with ATTUNE_TORTURE_SEED=%d", seed)
		}
	}
	t.Logf("%d documents, of which %d were accepted", count, accepted)
}

// torment reports whether the document was accepted.
func torment(t *testing.T, r *randomJSON) bool {
	t.Helper()
	schema, document := r.schema(3), r.document()
	s, err := Compile([]byte(schema))
	if err != nil {
		if attune.CodeOf(err) != attune.CodeInvalid {
			t.Errorf("%s: %v", schema, err)
		}
		return false
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err = s.Check(context.Background(), "result", document)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	allocated := int(after.TotalAlloc - before.TotalAlloc)
	// Exact arithmetic leaves garbage, a few kilobytes at one time.
	exact := regexp.MustCompile("minimum|aximum|multiple").MatchString(schema)
	if most := 16*len(document) + 1<<20; !exact && allocated > most || took > 2*time.Minute {
		t.Errorf("%d bytes took %d KiB and %s, by the schema %s", len(document), allocated>>10, took, schema)
	}
	if err != nil && attune.CodeOf(err) != attune.CodeInvalid {
		t.Errorf("by the schema %s: %v", schema, err)
	}
	read, unreadable := strictjson.Parse(document)
	if unreadable != nil {
		return false
	}
	if !jsontext.Value(document).IsValid() || !json.Valid(document) {
		t.Errorf("other readers refuse %.200q", document)
	}
	if len(document) > 4<<10 {
		return err == nil
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Errorf("encoding/json cannot read %s: %v", document, err)
	}
	if other := s.compiled.Validate(value); (other == nil) != (err == nil) {
		t.Errorf("of %s by the schema %s\nthe library says %v\n%v here", document, schema, other, err)
	}
	if hashOf(t, value) != read.Hash(0) {
		t.Errorf("%s has another hash when it is written by encoding/json", document)
	}
	return err == nil
}

func hashOf(t *testing.T, value any) uint64 {
	t.Helper()
	text, err := encode(value)
	if err != nil {
		t.Fatal(err)
	}
	d, err := strictjson.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d.Hash(0)
}

// randomJSON makes documents and schemas that are small in most places and hostile in some.
type randomJSON struct {
	*rand.Rand
	// room is how many bytes a document may still have.
	room int
}

func (r *randomJSON) pick(all ...string) string { return all[r.IntN(len(all))] }

func (r *randomJSON) name() string {
	if r.IntN(200) == 0 {
		return strings.Repeat("n", 1+r.IntN(r.room/4+1))
	}
	return r.pick("", "a", "b", "c", "ab", "abc", `\u0061`, `é`, `x`+strconv.Itoa(r.IntN(1000)))
}

// document is a random value, and sometimes broken.
func (r *randomJSON) document() []byte {
	var text bytes.Buffer
	r.value(&text, 0)
	document := text.Bytes()
	if r.IntN(20) == 0 && len(document) > 0 {
		document[r.IntN(len(document))] = byte(r.IntN(256))
	}
	return document
}

func (r *randomJSON) value(to *bytes.Buffer, depth int) {
	kind := r.IntN(8)
	if depth > 62 || to.Len() > r.room {
		kind = r.IntN(4)
	}
	switch kind {
	case 0:
		to.WriteString(r.pick("null", "true", "false"))
	case 1:
		to.WriteString(r.pick("0", "1", "1.0", "-7", "1e2", "12.5", "1e400", "1e-400", strings.Repeat("9", 1+r.IntN(400))))
	case 2, 3:
		to.WriteString(`"` + r.pick("", "a", "b", "abc", "2026-01-01", `\ud83d\ude00`, `\ud800`, r.name()) + `"`)
	case 4, 5:
		r.container(to, '[', ']', depth, func(int) {})
	default:
		taken := map[string]bool{}
		r.container(to, '{', '}', depth, func(i int) {
			name := r.name()
			if r.IntN(100) > 0 && taken[name] {
				name = "k" + strconv.Itoa(i)
			}
			taken[name] = true
			fmt.Fprintf(to, `"%s":`, name)
		})
	}
}

// container writes few members or items, or repeats one kind until there is no room.
func (r *randomJSON) container(to *bytes.Buffer, open, end byte, depth int, before func(i int)) {
	to.WriteByte(open)
	n := r.IntN(5)
	if r.IntN(4) == 0 {
		n = r.room
	}
	for i := 0; i < n && (i < 4 || to.Len() < r.room); i++ {
		if i > 0 {
			to.WriteByte(',')
		}
		before(i)
		if n == r.room {
			to.WriteString(r.pick("0", "0", "0", `""`, "[]", "{}", "[0]", `{"a":0}`, strconv.Itoa(i)))
		} else {
			r.value(to, depth+1)
		}
	}
	to.WriteByte(end)
}

// schema is a random schema; depth bounds how deep it nests.
func (r *randomJSON) schema(depth int) string {
	if depth == 0 || r.IntN(8) == 0 {
		return r.pick(`true`, `{}`, `{"type":"string"}`, `{"type":["number","null"]}`, `{"type":"integer"}`, `{"const":1}`,
			`{"enum":["a",1.0,null,{"a":0}]}`, `{"pattern":"^a+b?"}`, `{"format":"date"}`, `{"minLength":1,"maxLength":3}`,
			`{"minimum":1}`, `{"exclusiveMaximum":1e2}`, `{"multipleOf":0.5}`, `false`)
	}
	all := map[string]string{}
	for range 1 + r.IntN(4) {
		one := r.schema(depth - 1)
		several := "[" + one + "," + r.schema(depth-1) + "," + r.schema(depth-1) + "]"
		named := `{"a":` + one + `,"b":` + r.schema(depth-1) + `}`
		keyword := r.pick("properties", "patternProperties", "additionalProperties", "propertyNames", "items", "prefixItems",
			"contains", "uniqueItems", "allOf", "anyOf", "oneOf", "not", "if", "unevaluatedProperties", "unevaluatedItems",
			"required", "dependentRequired", "dependentSchemas", "type", "minItems", "maxProperties")
		switch keyword {
		case "properties", "dependentSchemas", "patternProperties":
			all[keyword] = named
		case "prefixItems", "allOf", "anyOf", "oneOf":
			all[keyword] = several
		case "if":
			all["if"], all["then"], all["else"] = one, r.schema(depth-1), r.schema(depth-1)
		case "contains":
			all["contains"], all["minContains"] = one, strconv.Itoa(r.IntN(3))
		case "uniqueItems":
			all[keyword] = "true"
		case "required":
			all[keyword] = `["a","b"]`
		case "dependentRequired":
			all[keyword] = `{"a":["b","c"]}`
		case "type":
			all[keyword] = r.pick(`"object"`, `"array"`, `["array","object","string"]`)
		case "minItems", "maxProperties":
			all[keyword] = strconv.Itoa(r.IntN(4))
		default:
			all[keyword] = one
		}
	}
	var members []string
	for _, keyword := range slices.Sorted(maps.Keys(all)) {
		members = append(members, fmt.Sprintf("%q:%s", keyword, all[keyword]))
	}
	return "{" + strings.Join(members, ",") + "}"
}
