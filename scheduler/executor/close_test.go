package executor

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"attune"
	"attune/scheduler"
	"attune/storage/storagetest"
)

// setupOutage has a network before object storage that can be cut.
func setupOutage(t *testing.T) (*host, *storagetest.Proxy) {
	t.Helper()
	config := storagetest.S3Config(t)
	target, err := url.Parse(config.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	network := storagetest.NewProxy(t, target.Host)
	return setupAt(t, config, "http://"+network.Address, greets), network
}

// all are the keys of an attempt that greets.
var all = []string{"manifest.json", "output/note.txt", "result.json", "stderr.log", "stdout.log"}

// TestOutageDoesNotGatherAttempts: beyond those that try to store their logs, attempts leave theirs to Maintain.
func TestOutageDoesNotGatherAttempts(t *testing.T) {
	t.Parallel()
	h, network := setupOutage(t)
	c := h.claim(t, attune.Action{})
	network.Cut()
	var trying sync.WaitGroup
	claims := make([]scheduler.Claim, maxUploads+3)
	for i := range claims {
		c.ID = uuid.NewString()
		claims[i] = c
		a := h.prepare(t, c)
		if _, err := a.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i < maxUploads {
			trying.Go(func() { a.Close(t.Context()) })
			eventually(t, func() bool { return len(h.uploads) == i+1 })
			continue
		}
		begin := time.Now()
		a.Close(t.Context())
		if took := time.Since(begin); took > time.Second {
			t.Errorf("with all uploads busy, close took %s", took)
		}
	}
	network.Open()
	h.maintain(t)
	for _, c := range claims {
		h.awaitKeys(t, c, all...)
	}
	trying.Wait()
}

func TestLogThatIsNotStoredInTimeArrivesLater(t *testing.T) {
	t.Parallel()
	h, network := setupOutage(t)
	c := h.claim(t, attune.Action{})
	a := h.prepare(t, c)
	network.Cut()
	if _, err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	a.Close(ctx)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("close took %s", took)
	}
	h.wantKeys(t, c)
	network.Open()
	h.maintain(t)
	h.awaitKeys(t, c, all...)
	h.wantContent(t, c, "stdout.log", "hello")
}

// TestBusyUploadsDelayALogBriefly: Maintain looks into the spool at once.
func TestBusyUploadsDelayALogBriefly(t *testing.T) {
	t.Parallel()
	h := setup(t, greets)
	h.maintain(t)
	for range maxUploads {
		h.uploads <- struct{}{}
	}
	c := h.claim(t, attune.Action{})
	begin := time.Now()
	h.run(t, c)
	h.awaitKeys(t, c, all...)
	if took := time.Since(begin); took > spoolInterval/2 {
		t.Errorf("the log was stored after %s", took)
	}
}
