package history

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"attune/migrations"
	"attune/storage/storagetest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	lines := []string{
		"BEGIN 731",
		`table public.waiting: INSERT: id[uuid]:'0198' ticket[bigint]:7 ` +
			`parameters[json]:'{"a": "it''s ]: '' new-tuple: "}' ` +
			`wait_until[timestamp with time zone]:null pack[text]:''`,
		"table public.finished_20260101: INSERT: id[uuid]:'0198'",
		"COMMIT 731",
		"BEGIN 732",
		`table public.gates: UPDATE: old-key: id[integer]:1 concurrency_key[text[]]:'{a,b}' ` +
			`busy[boolean]:false parameters[json]:'{}' new-tuple: id[integer]:1 concurrency_key[text[]]:'{}' ` +
			`busy[boolean]:true parameters[json]:unchanged-toast-datum`,
		"table public.packs: UPDATE: ref[text]:'not to be seen'",
		"table public.starts: DELETE: gate_id[integer]:1 number[bigint]:-5",
		"COMMIT 732",
	}
	got, err := Parse(lines)
	if err != nil {
		t.Fatal(err)
	}
	want := []Transaction{
		{XID: "731", Changes: []Change{
			insert("waiting", Row{"id": "0198", "ticket": "7", "parameters": `{"a": "it's ]: ' new-tuple: "}`, "pack": ""}),
			insert("finished", Row{"id": "0198"}),
		}},
		{XID: "732", Changes: []Change{
			update("gates", Row{"id": "1", "concurrency_key": "{a,b}", "busy": "false", "parameters": "{}"},
				Row{"id": "1", "concurrency_key": "{}", "busy": "true", "parameters": "{}"}),
			remove("starts", Row{"gate_id": "1", "number": "-5"}),
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lines []string
		says  string
	}{
		"a change outside a transaction": {[]string{"table public.slots: INSERT: a[text]:'b'"}, "does not belong here"},
		"a transaction without an end":   {[]string{"BEGIN 1"}, "has no end"},
		"an update without the old row": {[]string{"BEGIN 1", "table public.slots: UPDATE: a[text]:'b'"},
			"REPLICA IDENTITY FULL"},
		"a value without an end": {[]string{"BEGIN 1", "table public.slots: INSERT: a[text]:'b"}, "without an end"},
		"no column": {[]string{"BEGIN 1", "table public.slots: DELETE: (no-tuple-data)"},
			"has no column"},
		"an unknown operation": {[]string{"BEGIN 1", "table public.slots: TRUNCATE: (no-flags)"},
			"unknown operation"},
	} {
		if _, err := Parse(test.lines); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, test.says)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 1, 1, 8, 0, 0, 250000000, time.UTC)
	for _, text := range []string{"2026-01-01 08:00:00.25+00", "2026-01-01 13:30:00.25+05:30"} {
		if got := parseTime(text); !got.Equal(want) {
			t.Errorf("%s is %s", text, got)
		}
	}
	for text, want := range map[string]time.Duration{
		"00:00:01": time.Second, "01:02:03.5": time.Hour + 2*time.Minute + 3500*time.Millisecond, "1 day": 24 * time.Hour,
		"2 days 00:00:01": 48*time.Hour + time.Second, "366 days": 366 * 24 * time.Hour,
	} {
		if got := parseInterval(text); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

// TestRecord sees what PostgreSQL really writes: both ends of each change, partitions as their tables, in the order
// of the commits.
func TestRecord(t *testing.T) {
	t.Parallel()
	url := storagetest.EmptyDatabaseURL(t)
	if err := migrations.Apply(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db := storagetest.ReopenDB(t, url)
	r := Start(t, url)
	for _, sql := range []string{
		`insert into slots (worker, number) values ('it''s', 1)`,
		`update slots set stop_reason = 'x y' where worker = 'it''s'`,
		`delete from slots`,
		`insert into finished (id, queue_key, attempt, action, pack, pack_version, installation_id, image_digest,
			parameters, status,
			created_at, finished_at) values (uuid_v7(now()), '', 1, 'ops.a', 'ops', '1', gen_random_uuid(), '', '{}', 'failed',
			now(), now())`,
	} {
		if _, err := db.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	all, err := r.Transactions(t.Context())
	if err != nil || len(all) != 4 {
		t.Fatalf("read %v, %v", all, err)
	}
	changed := all[1].Changes[0]
	if changed.Old["worker"] != "it's" || changed.Old["stop_reason"] != "" ||
		changed.New["stop_reason"] != "x y" || changed.New["id"] != "" {
		t.Errorf("the update is %+v", changed)
	}
	if deleted := all[2].Changes[0]; deleted.Op != Delete || deleted.Old["stop_reason"] != "x y" {
		t.Errorf("the delete is %+v", deleted)
	}
	if ended := all[3].Changes[0]; ended.Table != "finished" || ended.New["status"] != "failed" {
		t.Errorf("the insert is %+v", ended)
	}
}
