package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// numbersPack prints numbers, block after block, one run at a time; its result tells how many there were.
func numbersPack() files {
	return files{
		"pack.yaml": "ref: long\nversion: 1.0.0\n",
		"actions/numbers.yaml": "ref: numbers\nentry_point: numbers.sh\npolicy: {concurrency: {limit: 1}}\n" +
			"parameters: {type: object, properties: {blocks: {type: integer}, late: {type: number}}}\n",
		"actions/brief.yaml": "ref: brief\nentry_point: numbers.sh\ntimeout: 4\n" +
			"parameters: {type: object, properties: {blocks: {type: integer}, late: {type: number}}}\n",
		"actions/guest.yaml": "ref: guest\nentry_point: numbers.sh\nruntime: runsc\n" +
			"parameters: {type: object, properties: {blocks: {type: integer}, late: {type: number}}}\n",
		"actions/numbers.sh": "for ((i = 0; i < PARAM_blocks; i++)); do seq $((i * 1000)) $((i * 1000 + 999)); sleep 0.02; " +
			"done\n" +
			"sleep ${PARAM_late:-0}\nseq $((i * 1000)) $((i * 1000 + 9999))\necho $i >$ATTUNE_RESULT\n",
	}
}

// numbers is what a run prints.
func numbers(blocks int) string {
	var b bytes.Buffer
	for n := range blocks*1000 + 10000 {
		b.WriteString(strconv.Itoa(n))
		b.WriteByte('\n')
	}
	return b.String()
}

// mortal is a service whose only worker is killed again and again.
type mortal struct {
	*service
	// test is the whole test: a life may be longer than the part that it begins in.
	test       *testing.T
	worker     *service
	binary     string
	dir        string
	env        []string
	databaseAt string
}

func startMortal(t *testing.T) *mortal {
	t.Helper()
	m := &mortal{test: t, binary: build(t), dir: tempDir(t)}
	key := filepath.Join(m.dir, "secret.key")
	if err := storage.CreateKeyFile(key); err != nil {
		t.Fatal(err)
	}
	m.env = append(environment(t), "ATTUNE_KEY_FILE="+key)
	m.databaseAt = strings.TrimPrefix(m.env[0], "ATTUNE_DATABASE_URL=")
	m.service = launch(t, m.binary, m.env, "server", "--data-dir", filepath.Join(m.dir, "server"), "--listen",
		"127.0.0.1:0")
	m.connect(t, filepath.Join(m.dir, "server"))
	m.revive()
	m.install(t, numbersPack())
	return m
}

// revive starts the worker's next life.
func (m *mortal) revive() {
	m.test.Helper()
	m.worker = launch(m.test, m.binary, m.env, "worker", "--data-dir", filepath.Join(m.dir, "worker"), "--capacity", "4")
}

func (m *mortal) submitNumbers(t *testing.T, blocks int, late float64) attune.Execution {
	t.Helper()
	return m.submit(t, "long.numbers", map[string]any{"blocks": blocks, "late": late})
}

// awaitOutput waits until at least size bytes can be read.
func (m *mortal) awaitOutput(t *testing.T, id string, size int64) {
	t.Helper()
	m.await(t, id, func(e attune.Execution) bool {
		return over(e) || e.Status == attune.StatusRunning && m.page(t, id, "stdout", size-1, 1).Content != ""
	})
}

// wantWhole checks that a run ended as if nothing had happened.
func (m *mortal) wantWhole(t *testing.T, id string, blocks int) attune.Execution {
	t.Helper()
	e := m.await(t, id, over)
	if e.Status != attune.StatusCompleted || string(e.Result) != strconv.Itoa(blocks) || e.Attempt != 1 {
		t.Errorf("it is %s (%s) with %s after %d attempts", e.Status, e.Reason, e.Result, e.Attempt)
	}
	m.wantLog(t, id, blocks)
	return e
}

func (m *mortal) wantLog(t *testing.T, id string, blocks int) {
	t.Helper()
	want := numbers(blocks)
	if got := m.must(t, "", "logs", id); got != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("the log has %d bytes, want %d; they differ from byte %d: %.60q", len(got), len(want), at,
			got[min(at, len(got)):])
	}
}

// TestRunsOutliveTheWorker kills the worker at each point of an execution's life, and its next life goes on.
func TestRunsOutliveTheWorker(t *testing.T) {
	t.Parallel()
	m := startMortal(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"while it prints", m.whileItPrints},
		{"in gVisor", m.inGVisor},
		{"it ends meanwhile", m.endsMeanwhile},
		{"before the outcome is recorded", m.beforeTheOutcome},
		{"at any time", m.atAnyTime},
		{"nothing is left", m.nothingIsLeft},
	} {
		if !t.Run(part.name, part.run) {
			return
		}
	}
}

func (m *mortal) whileItPrints(t *testing.T) {
	const blocks = 120
	first, second := m.submitNumbers(t, blocks, 0), m.submitNumbers(t, 1, 0)
	for life := range 3 {
		m.awaitOutput(t, first.ID, int64(1+life*60_000))
		m.worker.kill(t)
		killed, stored := time.Now(), m.page(t, first.ID, "stdout", 0, 1).TotalSize
		m.revive()
		m.awaitOutput(t, first.ID, stored+1)
		took := time.Since(killed)
		t.Logf("it was read on after %s", took.Round(time.Millisecond))
		if took > 10*time.Second {
			t.Error("that is more than ten seconds")
		}
	}
	if e := m.await(t, first.ID, func(attune.Execution) bool { return true }); e.Status != attune.StatusRunning {
		t.Errorf("after three lives it is %s (%s), want running", e.Status, e.Reason)
	}
	ended := m.wantWhole(t, first.ID, blocks)
	if next := m.wantWhole(t, second.ID, 1); next.ScheduledAt.Before(*ended.FinishedAt) {
		t.Error("its slot was given away while it ran")
	}
}

// inGVisor: gVisor's sandboxes outlive the worker, too.
func (m *mortal) inGVisor(t *testing.T) {
	const blocks = 50
	e := m.submit(t, "long.guest", map[string]any{"blocks": blocks})
	m.awaitOutput(t, e.ID, 1)
	m.worker.kill(t)
	m.revive()
	m.wantWhole(t, e.ID, blocks)
}

// assigned is where it stands which sandbox an execution has.
func (m *mortal) assigned(e attune.Execution) string {
	return filepath.Join(m.dir, "worker", "sandboxes", "executions", e.ID+"-1")
}

// sandboxOf reads the sandbox's id there.
func sandboxOf(t *testing.T, assigned string) string {
	t.Helper()
	text, err := os.ReadFile(assigned)
	if err != nil {
		t.Fatal(err)
	}
	var a struct{ Sandbox string }
	if err := json.Unmarshal(text, &a); err != nil || a.Sandbox == "" {
		t.Fatalf("it has the sandbox %q (%v)", a.Sandbox, err)
	}
	return a.Sandbox
}

// endsMeanwhile: also when it was in time, and the next life comes after that.
func (m *mortal) endsMeanwhile(t *testing.T) {
	e := m.submit(t, "long.brief", map[string]any{"blocks": 1, "late": 1})
	m.awaitOutput(t, e.ID, 1)
	m.worker.kill(t)
	deadline := time.Now().Add(5 * time.Second)
	sandbox := sandboxOf(t, m.assigned(e))
	var groups []string
	for _, hierarchy := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/memory"} {
		group := filepath.Join(hierarchy, "attune", sandbox, "cgroup.procs")
		if _, err := os.Stat(group); err == nil {
			groups = append(groups, group)
		}
	}
	if len(groups) == 0 {
		t.Fatal("its control group is not found")
	}
	within(t, "it ends", func() bool {
		processes, err := os.ReadFile(groups[0])
		return err != nil || len(processes) == 0
	})
	within(t, "its time is over", func() bool { return time.Now().After(deadline) })
	m.revive()
	m.wantWhole(t, e.ID, 1)
}

func (m *mortal) beforeTheOutcome(t *testing.T) {
	database, err := pgx.Connect(t.Context(), m.databaseAt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close(context.WithoutCancel(t.Context())) }()
	e := m.submitNumbers(t, 1, 0.5)
	m.awaitOutput(t, e.ID, 1)
	lock, err := database.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), `select from slots for update`); err != nil {
		t.Fatal(err)
	}
	exit := filepath.Join(m.dir, "worker", "sandboxes", "runs", sandboxOf(t, m.assigned(e)), "exit.json")
	within(t, "its end is known", func() bool {
		_, err := os.Stat(exit)
		return err == nil
	})
	m.worker.kill(t)
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.revive()
	m.wantWhole(t, e.ID, 1)
}

// atAnyTime kills at random instants: whatever was not begun begins, and what had begun goes on or is abandoned.
func (m *mortal) atAnyTime(t *testing.T) {
	const blocks = 10
	until := time.Now().Add(5 * time.Second)
	if text := os.Getenv("ATTUNE_TORTURE_DURATION"); text != "" {
		long, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		until = time.Now().Add(long)
	}
	var whole, lost int
	for time.Now().Before(until) {
		e := m.submitNumbers(t, blocks, 0)
		time.Sleep(rand.N(1200 * time.Millisecond)) // an instant, not a wait
		m.worker.kill(t)
		m.revive()
		switch ended := m.await(t, e.ID, over); ended.Status {
		case attune.StatusCompleted:
			whole++
			m.wantLog(t, e.ID, blocks)
		case attune.StatusAbandoned:
			lost++ // it was killed before the sandbox had its document
		default:
			t.Errorf("it is %s (%s)", ended.Status, ended.Reason)
		}
	}
	t.Logf("%d went on to their ends, %d were abandoned", whole, lost)
	if whole == 0 {
		t.Error("none went on")
	}
}

// nothingIsLeft: what the lives left of ended executions goes.
func (m *mortal) nothingIsLeft(t *testing.T) {
	for _, place := range []string{"sandboxes/executions/*", "spool/*/*"} {
		within(t, place+" is nothing", func() bool {
			left, err := filepath.Glob(filepath.Join(m.dir, "worker", place))
			return err == nil && len(left) == 0
		})
	}
}

// within waits for what must become so soon.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 seconds it is not so that %s", what)
		}
	}
}
