package retention

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"attune"
	"attune/scheduler"
	"attune/storage"
	"attune/storage/logs"
	"attune/storage/s3"
	"attune/storage/storagetest"
)

// shelf is a history to clean up, with a bucket behind a door that can be shut.
type shelf struct {
	*testing.T
	*scheduler.Queue
	db      *storage.DB
	cleaner Cleaner
	client  *minio.Client
	bucket  string
	said    *lockedBuffer
	// away makes S3 refuse; removing is called before objects are removed.
	away     atomic.Bool
	removing atomic.Pointer[func()]
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	db := storagetest.OpenDB(t)
	s := &shelf{T: t, Queue: scheduler.NewQueue(db, slog.New(slog.DiscardHandler)), db: db, said: &lockedBuffer{}}
	s.install()
	config := storagetest.S3Config(t)
	s.client, s.bucket = storagetest.S3Client(t, config), config.LogBucket
	target, err := url.Parse(config.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
	}
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.away.Load() {
			http.Error(w, "", http.StatusServiceUnavailable)
			return
		}
		if before := s.removing.Load(); before != nil && r.Method == http.MethodPost && r.URL.Query().Has("delete") {
			(*before)()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		door.Close()
		transport.CloseIdleConnections()
	})
	config.Endpoint = door.URL
	objects, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	logs, err := logs.Open(objects.Logs(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.cleaner = Cleaner{DB: s.db, Logs: logs, Age: 30 * 24 * time.Hour, Log: slog.New(slog.NewTextHandler(s.said, nil))}
	return s
}

// install makes a pack that serves, without building an image.
func (s *shelf) install() {
	s.Helper()
	m := attune.Manifest{Ref: "ops", Version: "1.0.0", Actions: []attune.Action{{
		Ref: "ops.one", Pack: "ops", RunnerType: attune.RunnerShell, EntryPoint: "a.sh", TimeoutSeconds: 60,
		Network: attune.NetworkNone, Policy: attune.Policy{Concurrency: &attune.Concurrency{Limit: 1}},
	}}}
	i, err := s.db.Installations.Create(s.Context(), m, strings.Repeat("0", 64))
	if err != nil {
		s.Fatal(err)
	}
	if _, _, err := s.db.Installations.Claim(s.Context(), "installer"); err != nil {
		s.Fatal(err)
	}
	if err := s.Activate(s.Context(), i.ID, "installer", "sha256:"+strings.Repeat("0", 64)); err != nil {
		s.Fatal(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (s *shelf) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.db.Pool().Exec(s.Context(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

func ask[T any](s *shelf, sql string, args ...any) (answer T) {
	s.Helper()
	if err := s.db.Pool().QueryRow(s.Context(), sql, args...).Scan(&answer); err != nil {
		s.Fatal(err)
	}
	return answer
}

// aged submits an execution that many days ago, by its id and all its times.
func (s *shelf) aged(days int) attune.Execution {
	s.Helper()
	old, err := s.Submit(s.Context(), scheduler.Submission{Action: "ops.one"})
	if err != nil {
		s.Fatal(err)
	}
	s.exec(`select ensure_history(((now() at time zone 'UTC')::date - $1::integer))`, days)
	id := ask[string](s, `update waiting set id = uuid_v7(now() - $2 * interval '1 day'), 
			created_at = now() - $2 * interval '1 day', queued_at = now() - $2 * interval '1 day'
		where id = $1 returning id::text`, old.ID, days)
	e := s.get(id)
	s.put(e, "result.json")
	return e
}

// over is aged for one that ended at once, after an earlier attempt.
func (s *shelf) over(days int) attune.Execution {
	s.Helper()
	e := s.aged(days)
	if _, err := s.Cancel(s.Context(), e.ID); err != nil {
		s.Fatal(err)
	}
	s.exec(`update finished set attempt = 2, finished_at = created_at where id = $1`, e.ID)
	s.tried(e)
	return s.get(e.ID)
}

// tried gives an execution an earlier attempt.
func (s *shelf) tried(e attune.Execution) {
	s.Helper()
	s.exec(`insert into attempts (execution_id, attempt, status, reason, worker, scheduled_at, finished_at)
		values ($1, 1, 'failed', 'exception', 'w', $2, $2)`, e.ID, e.CreatedAt)
	s.put(e, "attempt-1/stdout.log")
}

func (s *shelf) put(e attune.Execution, name string) {
	s.Helper()
	text := "text"
	key := logs.ExecutionPrefix("ops", "one", e.CreatedAt, e.ID) + name
	_, err := s.client.PutObject(s.Context(), s.bucket, key, strings.NewReader(text), int64(len(text)),
		minio.PutObjectOptions{})
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shelf) get(id string) attune.Execution {
	s.Helper()
	e, err := s.db.Executions.Get(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return e
}

// objects counts what an execution has in the bucket.
func (s *shelf) objects(e attune.Execution) (n int) {
	s.Helper()
	prefix := logs.ExecutionPrefix("ops", "one", e.CreatedAt, e.ID)
	options := minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
	for object := range s.client.ListObjectsIter(s.Context(), s.bucket, options) {
		if object.Err != nil {
			s.Fatal(object.Err)
		}
		n++
	}
	return n
}

func (s *shelf) clean() {
	s.Helper()
	if err := s.cleaner.clean(s.Context()); err != nil {
		s.Fatal(err)
	}
}

func (s *shelf) wantGone(e attune.Execution) {
	s.Helper()
	if _, err := s.db.Executions.Get(s.Context(), e.ID); attune.CodeOf(err) != attune.CodeNotFound {
		s.Errorf("the execution of %s: %v", e.CreatedAt, err)
	}
	if n := s.objects(e); n != 0 {
		s.Errorf("the execution of %s left %d objects", e.CreatedAt, n)
	}
	if n := ask[int](s, `select count(*) from attempts where execution_id = $1`, e.ID); n != 0 {
		s.Errorf("the execution of %s left %d attempts", e.CreatedAt, n)
	}
}

func (s *shelf) wantThere(e attune.Execution, attempts, objects int) {
	s.Helper()
	if got := s.get(e.ID); len(got.Attempts) != attempts || s.objects(e) != objects {
		s.Errorf("the execution of %s has %d attempts and %d objects, want %d and %d",
			e.CreatedAt, len(got.Attempts), s.objects(e), attempts, objects)
	}
}

func (s *shelf) partitions(table string) []string {
	s.Helper()
	return ask[[]string](s,
		`select array(select inhrelid::regclass::text from pg_inherits
			where inhparent = $1::text::regclass order by 1)`, table)
}

func TestOldHistoryGoesAndTheRestStays(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	oldest, old, young := s.over(400), s.over(32), s.over(28)
	open := s.aged(40)
	s.exec(`update waiting set attempt = 2 where id = $1`, open.ID)
	s.tried(open)
	// The log of an execution whose row went long ago comes out of a spool.
	late := attune.Execution{ID: "late", CreatedAt: old.CreatedAt.AddDate(0, -3, 0)}
	s.put(late, "stdout.log")
	s.exec(`insert into idempotency_keys (token, key, digest, executions, created_at)
		select '', n::text, decode(repeat('00', 32), 'hex'), '{}', now() - n * interval '1 hour'
		from generate_series(1, 30) n`)
	s.clean()
	s.wantGone(oldest)
	s.wantGone(old)
	s.wantThere(young, 1, 2)
	s.wantThere(open, 1, 2)
	if n := s.objects(late); n != 0 {
		t.Error("a log without a record stays")
	}
	if n := ask[int](s, `select count(*) from idempotency_keys`); n != 23 {
		t.Errorf("%d idempotency keys are kept", n)
	}
	today := ask[time.Time](s, `select clock_timestamp()`).UTC()
	for _, table := range []string{"finished", "attempts"} {
		found := strings.Join(s.partitions(table), " ")
		for days, want := range map[int]bool{-400: false, -40: false, -32: false, -28: true, 0: true, 3: true} {
			name := table + today.AddDate(0, 0, days).Format("_20060102")
			if strings.Contains(found, name) != want {
				t.Errorf("%s: %v, want %v", name, !want, want)
			}
		}
	}

	// It ends after its day was dropped, and its age counts from there.
	if _, err := s.Cancel(t.Context(), open.ID); err != nil {
		t.Fatal(err)
	}
	s.clean()
	s.wantThere(open, 1, 2)
	s.exec(`update finished set finished_at = now() - interval '32 days' where id = $1`, open.ID)
	s.clean()
	s.wantGone(open)
	s.wantThere(young, 1, 2)
}

func TestEverythingStaysWithoutABound(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.cleaner.Age = 0
	old := s.over(4000)
	s.clean()
	s.wantThere(old, 1, 2)
}

func TestCountDropsDaysThatAreNotNeeded(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.cleaner.Age = 0
	var all []attune.Execution
	for _, days := range []int{4, 3, 3, 1, 1} {
		all = append(all, s.over(days))
	}
	for _, step := range []struct{ count, kept int }{{6, 5}, {5, 5}, {4, 4}, {3, 4}, {2, 2}, {1, 2}} {
		s.cleaner.Count = step.count
		s.clean()
		for _, e := range all[:len(all)-step.kept] {
			s.wantGone(e)
		}
		for _, e := range all[len(all)-step.kept:] {
			s.wantThere(e, 1, 2)
		}
	}
}

func TestOneProcessAtATimeCleansUp(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	old := s.over(32)
	var cleaned bool
	err := s.cleaner.history().alone(t.Context(), func() error {
		s.clean() // does nothing, since another is cleaning up
		cleaned = ask[int](s, `select count(*) from finished where id = $1`, old.ID) == 0
		return nil
	})
	if err != nil || cleaned {
		t.Fatalf("cleaned up beside another: %v, %v", cleaned, err)
	}
	// Should the lock be lost, they may meet.
	var group sync.WaitGroup
	for range 4 {
		other := s.cleaner
		group.Go(func() {
			today, now, err := s.cleaner.history().today(t.Context())
			if err != nil {
				t.Error(err)
			}
			if err := other.drop(t.Context(), today, now); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	s.clean()
	s.wantGone(old)
}

func TestCrashBetweenObjectsAndRows(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	old := s.over(32)
	ctx, crash := context.WithCancel(t.Context())
	var die = func() { crash() }
	s.removing.Store(&die)
	if err := s.cleaner.clean(ctx); err == nil {
		t.Fatal("it was not interrupted")
	}
	s.removing.Store(nil)
	if e := s.get(old.ID); len(e.Attempts) != 1 {
		t.Errorf("the record is %+v", e)
	}
	// The next life comes as far as the objects, the one after it to the end.
	today, _, err := s.cleaner.history().today(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.cleaner.Logs.RemoveDays(t.Context(), today.AddDate(0, 0, -30), func(string) bool { return false })
	if n > 2 || err != nil {
		t.Fatalf("removed %d, %v", n, err)
	}
	s.get(old.ID)
	s.clean()
	s.wantGone(old)
}

func TestHistoryWaitsForS3(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	old := s.over(32)
	s.away.Store(true)
	for range 3 {
		s.cleaner.report(t.Context(), s.cleaner.clean(t.Context()))
	}
	if n := strings.Count(s.said.String(), "level=ERROR"); n != 1 || !strings.Contains(s.said.String(), "object store") {
		t.Errorf("the log says:\n%s", s.said)
	}
	day := old.CreatedAt.UTC().Format("20060102")
	if found := strings.Join(s.partitions("finished"), " "); !strings.Contains(found, day) {
		t.Errorf("the partition went before its objects: %s", found)
	}
	s.away.Store(false)
	s.wantThere(old, 1, 2)
	s.cleaner.report(t.Context(), s.cleaner.clean(t.Context()))
	s.wantGone(old)
	if !strings.Contains(s.said.String(), "cleaned up again") {
		t.Errorf("the log says:\n%s", s.said)
	}
}

func TestCleanerRunsUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	old := s.over(32)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.cleaner.Run(ctx)
	}()
	deadline := time.After(15 * time.Second)
	for ask[int](s, `select count(*) from finished where id = $1`, old.ID) > 0 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("the old day stays")
		}
	}
	stop()
	<-ended
}
