package storage_test

import (
	"encoding/json"
	"strings"
	"testing"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

// An entry of a listing is small, whatever the execution has.
func TestListingIsSmall(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	ids := insert(t, db, "weather", "weather.forecast", attune.StatusCompleted, 210)
	long := strings.Repeat("é", 8<<10)
	failure := `{"error": "a \u0000 \\u0000 ` + long + `", "error_type": "E", "traceback": "` + long + `"}`
	if _, err := db.Pool().Exec(t.Context(), `update finished set failure = $1, result = to_json(repeat('y', 100000)),
		parameters = json_build_object('a', repeat('x', 100000))`, failure); err != nil {
		t.Fatal(err)
	}
	found, _, err := db.Executions.List(t.Context(), storage.ExecutionFilter{Limit: 500})
	if err != nil || len(found) != len(ids) {
		t.Fatalf("%d executions, %v", len(found), err)
	}
	text, err := json.Marshal(found)
	if err != nil || len(text) > len(found)*(4<<10) {
		t.Errorf("the list has %d bytes, %v", len(text), err)
	}
	for _, e := range found[:2] {
		if e.Parameters != nil || e.Result != nil || e.Failure.Traceback != "" || e.Failure.ErrorType != "E" ||
			!strings.HasPrefix(e.Failure.Error, "a \ufffd \\ufffd é") || len(e.Failure.Error) > 400 {
			t.Errorf("an entry is %+v with %+v", e, e.Failure)
		}
	}
	again, err := storage.GetExecutions(t.Context(), db.Pool(), ids[:100])
	if err != nil || len(again) != 100 || again[0].ID != ids[0] || again[99].ID != ids[99] || again[3].Parameters != nil {
		t.Errorf("%d executions by their ids, %v", len(again), err)
	}
}

// No writer can leave a failure of any length.
func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	insert(t, db, "weather", "weather.forecast", attune.StatusCompleted, 1)
	worst := attune.Failure{
		Error: strings.Repeat("\x01", 1<<20), ErrorType: strings.Repeat("\xff\x00", 1<<20),
		Traceback: strings.Repeat("\x1f", 1<<20),
	}
	kept, err := json.Marshal(worst.Cut())
	if err != nil {
		t.Fatal(err)
	}
	const update = `update finished set failure = $1`
	if _, err := db.Pool().Exec(t.Context(), update, string(kept)); err != nil {
		t.Errorf("a failure that is cut: %v", err)
	}
	whole, err := json.Marshal(worst)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool().Exec(t.Context(), update, string(whole)); err == nil {
		t.Error("a failure that is not cut was taken")
	}
}
