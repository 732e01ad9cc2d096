package executor

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"attune"
	"attune/scheduler"
)

// TestThroughputWithoutObjectStorage: it takes connections and does not answer. If each of the two slots were held
// until an upload gives up, these executions would take minutes.
func TestThroughputWithoutObjectStorage(t *testing.T) {
	t.Parallel()
	h, network := setupOutage(t)
	c := h.claim(t, attune.Action{})
	queue := scheduler.NewQueue(h.DB, slog.New(slog.DiscardHandler))
	if _, _, err := h.DB.Installations.Claim(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	if err := queue.Activate(t.Context(), c.InstallationID, "w", c.ImageDigest); err != nil {
		t.Fatal(err)
	}
	network.Cut()
	stopListening := listenInSilence(t, network.Address)
	t.Cleanup(stopListening)
	h.work(t, queue)

	begin := time.Now()
	var ids []string
	for range 60 {
		e, err := queue.Submit(t.Context(), scheduler.Submission{Action: c.Action})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	for _, id := range ids {
		if err := queue.Wait(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > uploadTimeout {
		t.Errorf("%d executions took %s", len(ids), took)
	}
	stopListening()
	network.Open()
	for _, id := range ids {
		c.ID = id
		e, err := h.DB.Executions.Get(t.Context(), id)
		if err != nil || e.Status != attune.StatusCompleted {
			t.Fatalf("it is %s, %v", e.Status, err)
		}
		c.CreatedAt = e.CreatedAt
		h.awaitKeys(t, c, all...)
	}
}

// work runs a worker of two slots until the test ends.
func (h *host) work(t *testing.T, queue *scheduler.Queue) {
	t.Helper()
	w, err := scheduler.NewWorker(scheduler.WorkerConfig{
		Name: "w", Capacity: 2, DB: h.DB, Queue: queue, Executor: h.Executor, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = queue.Run(ctx) })
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("the worker: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// listenInSilence takes connections and never answers, until the returned function is called.
func listenInSilence(t *testing.T, address string) (stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	}()
	return sync.OnceFunc(func() {
		_ = listener.Close()
		<-done
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
}
