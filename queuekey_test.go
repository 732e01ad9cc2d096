package attune

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestQueueKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxKeyBytes)
	for parameters, want := range map[string]string{
		`{}`:                                `{"a":null,"b":null}`,
		`{"b":null,"c":1}`:                  `{"a":null,"b":null}`,
		`{"b":"<é&>","a":true}`:             `{"a":true,"b":"<é&>"}`,
		`{"a":"1"}`:                         `{"a":"1","b":null}`,
		`{"a":12345678901234567890.5}`:      `{"a":12345678901234567890.5,"b":null}`,
		`{"a":-0.0,"b":0.10}`:               `{"a":0,"b":0.1}`,
		`{"a":[1e2,{"y":1.0,"x":2}]}`:       `{"a":[100,{"x":2,"y":1}],"b":null}`,
		`{"c":[{}],"a":1e400,"b":-0.1E-99}`: `{"a":1e400,"b":-1e-100}`,
		`{"a":` + strings.Repeat("9", 70) + `00.0,"b":123` + strings.Repeat("0", 100) + `}`: `{"a":` +
			strings.Repeat("9", 70) + `e2,"b":123e100}`,
		`{"a":"` + long[:maxKeyBytes-2] + `"}`: `{"a":"` + long[:maxKeyBytes-2] + `","b":null}`,
		`{"a":"` + long + `"}`: `{"a":"sha256:` +
			`dbfdd035aca42f2e8ed032df4e144e80695805c105c958e29853c0466a39d15f","b":null}`,
	} {
		key, err := QueueKey([]string{"b", "a"}, json.RawMessage(parameters))
		if err != nil || key != want {
			t.Errorf("%.100s: got %s, %v; want %s", parameters, key, err, want)
		}
	}
	if key, err := QueueKey(nil, json.RawMessage(`{"a":1}`)); key != "" || err != nil {
		t.Errorf("without names: %q, %v", key, err)
	}
	if _, err := QueueKey([]string{"a"}, json.RawMessage(`[]`)); err == nil {
		t.Error("a list has a key")
	}
}

func TestCheckKey(t *testing.T) {
	t.Parallel()
	policy := func(key ...string) Policy { return Policy{Concurrency: &Concurrency{Limit: 1, Key: key}} }
	schema := json.RawMessage(`{"properties":{"city":{},"days":{}}}`)
	for name, test := range map[string]struct {
		policy Policy
		schema json.RawMessage
		field  string
	}{
		"no concurrency": {Policy{}, nil, ""},
		"no key":         {policy(), nil, ""},
		"known":          {policy("days", "city"), schema, ""},
		"unknown":        {policy("city", "town"), schema, "concurrency.key[1]"},
		"no schema":      {policy("city"), nil, "concurrency.key[0]"},
	} {
		err := test.policy.CheckKey(test.schema)
		if (err == nil) != (test.field == "") || err != nil &&
			(CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), test.field)) {
			t.Errorf("%s: got %v, want the field %q", name, err, test.field)
		}
	}
}
