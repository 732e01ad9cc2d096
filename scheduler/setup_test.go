package scheduler

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
	"attune/storage/storagetest"
)

// installed makes the pack ops serve, without building an image: the queue only knows its digest.
func installed(tb testing.TB, db *storage.DB, actions ...attune.Action) {
	tb.Helper()
	installedAs(tb, db, "ops", actions...)
}

// installedAs makes a pack of another name serve.
func installedAs(tb testing.TB, db *storage.DB, pack string, actions ...attune.Action) {
	tb.Helper()
	serve(tb, db, attune.Manifest{Ref: pack, Version: "1.0.0", Actions: actions})
}

// serve makes a version serve. It fills in what the queue does not look at.
func serve(tb testing.TB, db *storage.DB, m attune.Manifest) {
	tb.Helper()
	m.Actions = slices.Clone(m.Actions)
	for i := range m.Actions {
		a := &m.Actions[i]
		a.Ref, a.Pack = m.Ref+"."+a.Name(), m.Ref
		a.RunnerType, a.EntryPoint, a.TimeoutSeconds, a.Network = attune.RunnerShell, "a.sh", 60, attune.NetworkNone
		a.Resources = attune.Resources{
			CPU: attune.DefaultCPU, MemoryBytes: attune.DefaultMemoryBytes,
			Pids: attune.DefaultPids, TmpBytes: attune.DefaultTmpBytes,
		}
	}
	if _, err := db.Installations.Create(tb.Context(), m, strings.Repeat("0", 64)); err != nil {
		tb.Fatal(err)
	}
	claimed, _, err := db.Installations.Claim(tb.Context(), "installer")
	if err != nil || claimed == nil {
		tb.Fatalf("claim installation: %v, %v", claimed, err)
	}
	q := NewQueue(db, slog.New(slog.DiscardHandler))
	if err := q.Activate(tb.Context(), claimed.ID, "installer", "sha256:"+strings.Repeat("0", 64)); err != nil {
		tb.Fatal(err)
	}
}

// action is one with a concurrency limit; 0 sets none.
func action(name string, limit int) attune.Action {
	a := attune.Action{Ref: "ops." + name}
	if limit > 0 {
		a.Policy.Concurrency = &attune.Concurrency{Limit: limit}
	}
	return a
}

func setup(t *testing.T, actions ...attune.Action) *Queue {
	t.Helper()
	db := storagetest.OpenDB(t)
	installed(t, db, actions...)
	return NewQueue(db, slog.New(slog.DiscardHandler))
}

func submit(t *testing.T, q *Queue, action string) attune.Execution {
	t.Helper()
	e, err := q.Submit(t.Context(), Submission{Action: action})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// lifeOf is a worker of the given name with places enough.
func lifeOf(t *testing.T, q *Queue, worker string) workerLife {
	t.Helper()
	life := workerLife{Name: worker, ID: uuid.NewSHA1(uuid.Nil, []byte(worker)).String(), Capacity: 200}
	if err := q.register(t.Context(), life); err != nil {
		t.Fatal(err)
	}
	return life
}

func admit(t *testing.T, q *Queue, worker string, n int) []Claim {
	t.Helper()
	return admitAs(t, q, lifeOf(t, q, worker), n)
}

func begin(t *testing.T, q *Queue, worker string, c Claim) {
	t.Helper()
	if err := newRecorder(q, worker).start(t.Context(), &c, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func finish(t *testing.T, q *Queue, worker string, c Claim, o Outcome) {
	t.Helper()
	if err := newRecorder(q, worker).settle(t.Context(), &c, o, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// end starts and finishes what a worker has claimed.
func end(t *testing.T, q *Queue, worker string, c Claim) {
	t.Helper()
	begin(t, q, worker, c)
	finish(t, q, worker, c, Outcome{Status: attune.StatusCompleted})
}

func ids(claims []Claim) []string {
	var found []string
	for _, c := range claims {
		found = append(found, c.ID)
	}
	return found
}

// keyed is an action whose executions stand in a queue for each customer; it has a parameter region, too.
func keyed(name string, limit int) attune.Action {
	a := action(name, limit)
	a.Parameters = json.RawMessage(`{"type":"object","properties":{"customer":{},"region":{}}}`)
	a.Policy.Concurrency.Key = []string{"customer"}
	return a
}

// with is an action with a policy.
func with(name string, p attune.Policy) attune.Action {
	return attune.Action{Ref: "ops." + name, Policy: p}
}

// retried is an action that is tried again as often as max says, after a pause of at most a minute.
func retried(name string, limit, maxAttempts int, reasons ...attune.Reason) attune.Action {
	a := action(name, limit)
	a.Retry = &attune.Retry{MaxAttempts: maxAttempts, BackoffSeconds: 60, MaxBackoffSeconds: 60, Reasons: reasons}
	return a
}

func concurrency(limit int) attune.Policy {
	return attune.Policy{Concurrency: &attune.Concurrency{Limit: limit}}
}

func rate(n, seconds int) attune.Policy {
	return attune.Policy{RateLimit: &attune.RateLimit{MaxExecutions: n, WindowSeconds: seconds}}
}

// The scopes that bound the action ops.a.
var scopes = map[string]attune.Scope{"global": {}, "pack": {Pack: "ops"}, "action": {Action: "ops.a"}}

func setPolicy(t *testing.T, q *Queue, scope attune.Scope, p attune.Policy) {
	t.Helper()
	if _, err := q.SetPolicy(t.Context(), scope, p); err != nil {
		t.Fatal(err)
	}
}

func submitWith(t *testing.T, q *Queue, action, parameters string) attune.Execution {
	t.Helper()
	e, err := q.Submit(t.Context(), Submission{Action: action, Parameters: json.RawMessage(parameters)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// wantRejected submits what a policy is to turn away, and returns after which time it may come back.
func wantRejected(t *testing.T, q *Queue, action string) time.Duration {
	t.Helper()
	e, err := q.Submit(t.Context(), Submission{Action: action})
	if attune.CodeOf(err) != attune.CodeRejected {
		t.Fatalf("submit: %s, %v; want it rejected", e.ID, err)
	}
	return asError(err).RetryAfter
}

// wantAdmitted takes up to n and checks that they are the given ones, in their order.
func wantAdmitted(t *testing.T, q *Queue, n int, want ...attune.Execution) []Claim {
	t.Helper()
	claims := admit(t, q, "w", n)
	var wanted []string
	for _, e := range want {
		wanted = append(wanted, e.ID)
	}
	if got := ids(claims); !slices.Equal(got, wanted) {
		t.Fatalf("admitted %v, want %v", got, wanted)
	}
	return claims
}

func get(t *testing.T, q *Queue, id string) attune.Execution {
	t.Helper()
	e, err := q.db.Executions.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func wantEnd(t *testing.T, q *Queue, id string, status attune.Status, reason attune.Reason) attune.Execution {
	t.Helper()
	e := get(t, q, id)
	if e.Status != status || e.Reason != reason {
		t.Errorf("it is %s for %q, want %s for %q", e.Status, e.Reason, status, reason)
	}
	return e
}

// fail starts a claim and ends its attempt with an exit status, as a worker does.
func fail(t *testing.T, q *Queue, c Claim, retry *attune.Retry, code int) {
	t.Helper()
	begin(t, q, "w", c)
	settleAs(t, q, c, retry, Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode, ExitCode: &code})
}

func settleAs(t *testing.T, q *Queue, c Claim, retry *attune.Retry, o Outcome) {
	t.Helper()
	o.RetryAfter = RetryAfter(retry, c.Attempt, o)
	finish(t, q, "w", c, o)
}

// delayIn ends an attempt of worker w that is followed by another, in a transaction that goes on.
func delayIn(t *testing.T, tx pgx.Tx, c Claim, pause time.Duration) {
	t.Helper()
	o := exited(1)
	o.RetryAfter = &pause
	args, err := record{&c, o, time.Now()}.delayArgs("w")
	if err == nil {
		_, err = tx.Exec(t.Context(), delaySQL.text, args...)
	}
	if err != nil {
		t.Error(err)
	}
}

// execute changes the database behind the queue's back: mostly its times, so that nobody has to wait.
func execute(t *testing.T, q *Queue, sql string, args ...any) {
	t.Helper()
	if _, err := q.db.Pool().Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// promoteAll ends all pauses.
func promoteAll(t *testing.T, q *Queue) {
	t.Helper()
	execute(t, q, `update delayed set retry_at = clock_timestamp() - interval '1 second'`)
	if err := q.promote(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, want attune.Code) {
	t.Helper()
	if attune.CodeOf(err) != want {
		t.Errorf("the error is %v, want the code %s", err, want)
	}
}
