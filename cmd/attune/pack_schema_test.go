package main

import (
	"encoding/json"
	"testing"
)

func TestPackSchema(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"pack", "action", "policy"} {
		got := invocation{}.call(t, "pack", "schema", file)
		var schema struct {
			Dialect string         `json:"$schema"`
			Ref     string         `json:"$ref"`
			Defs    map[string]any `json:"$defs"`
		}
		if err := json.Unmarshal([]byte(got.stdout), &schema); err != nil || got.status != 0 {
			t.Fatalf("%s: status %d, %v\n%s", file, got.status, err, got.stderr)
		}
		if schema.Dialect == "" || schema.Ref != "#/$defs/"+file || schema.Defs[file] == nil {
			t.Errorf("%s: got %s", file, got.stdout)
		}
	}
	if got := (invocation{}).call(t, "pack", "schema", "python"); got.status != 2 {
		t.Errorf("a file that has no schema: %+v", got)
	}
}
