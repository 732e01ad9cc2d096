package storage_test

import (
	"fmt"
	"strings"
	"testing"

	"attune"
	"attune/storage/storagetest"
)

// Actions come in pages: schemas, descriptions and environments may have a megabyte for each.
func TestActionListing(t *testing.T) {
	t.Parallel()
	db := storagetest.OpenDB(t)
	installed, err := db.Installations.Create(t.Context(), attune.Manifest{Ref: "weather", Version: "1.0.0"},
		strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		if _, err := db.Pool().Exec(t.Context(), `insert into actions (id, ref, pack, installation_id, spec)
			values (gen_random_uuid(), $1, 'weather', $2, json_build_object('ref', $1::text, 'description', repeat('x', $3)))`,
			fmt.Sprintf("weather.a%d", i), installed.ID, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	var refs []string
	pages, cursor := 0, ""
	for {
		found, next, err := db.Actions.List(t.Context(), "", nil, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range found {
			refs = append(refs, a.Ref)
		}
		if pages++; next == "" || pages > 9 {
			break
		}
		cursor = next
	}
	want := "weather.a0 weather.a1 weather.a2 weather.a3 weather.a4 weather.a5 weather.a6 weather.a7 weather.a8"
	if got := strings.Join(refs, " "); got != want || pages != 3 {
		t.Errorf("%d pages with %s", pages, got)
	}
	for _, cursor := range []string{"x", "%", "d2VhdGhlcg"} {
		_, _, err := db.Actions.List(t.Context(), "", nil, cursor)
		code(t, err, attune.CodeInvalid)
	}
}
