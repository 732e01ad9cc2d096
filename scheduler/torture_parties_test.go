package scheduler

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"attune"
	"attune/storage"
)

// employ has a worker that ends now and then while there are disturbances, and begins another life.
func (r *round) employ(disturbed, working context.Context, t *testing.T, name string, q *Queue) {
	random := r.random()
	for working.Err() == nil {
		w, err := NewWorker(WorkerConfig{
			Name: name, Capacity: 1 + random.IntN(5), DB: q.db, Queue: q, Executor: r.host, PollInterval: 20 * time.Millisecond,
			DrainTimeout: time.Duration(random.IntN(30)) * time.Millisecond, StopTimeout: time.Second,
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Error(err)
			return
		}
		ctx, end := working, context.CancelFunc(func() {})
		if disturbed.Err() == nil {
			ctx, end = context.WithCancel(working)
			life := time.AfterFunc(time.Duration(100+random.IntN(1500))*time.Millisecond, func() {
				if disturbed.Err() == nil {
					end()
				}
			})
			defer life.Stop()
		}
		err = w.Run(ctx)
		stopped := ctx.Err() != nil // before it could begin
		end()
		if !stopped && !excused(err) {
			t.Errorf("worker %s: %v", name, err)
		}
	}
}

// excused are the errors that a disturbed service may answer with.
func excused(err error) bool {
	codes := []attune.Code{attune.CodeUnavailable, attune.CodeRejected, attune.CodeConflict}
	return err == nil || slices.Contains(codes, attune.CodeOf(err))
}

// submitter submits in all ways that there are.
func (r *round) submitter(ctx context.Context, t *testing.T, q *Queue, random *rand.Rand) {
	for n := 0; pause(ctx, time.Duration(random.IntN(15))*time.Millisecond); n++ {
		var made []attune.Execution
		var err error
		switch random.IntN(4) {
		case 0:
			all := make([]Submission, 1+random.IntN(5))
			for i := range all {
				all[i] = r.draw(random)
			}
			made, err = q.SubmitBatch(t.Context(), nil, all)
		case 1:
			made, err = r.submitOnce(t, q, IdempotencyKey{Token: "t", Key: fmt.Sprint(random.Uint64()),
				Digest: sha256.Sum256(nil)}, r.draw(random))
		default:
			var e attune.Execution
			if e, err = q.Submit(t.Context(), r.draw(random)); err == nil {
				made = append(made, e)
			}
		}
		if !excused(err) {
			t.Errorf("submit: %v", err)
		}
		r.acknowledge(made)
	}
}

// submitOnce repeats until there is an answer; what was made by an earlier try is what the last one returns.
func (r *round) submitOnce(t *testing.T, q *Queue, once IdempotencyKey, s Submission) ([]attune.Execution, error) {
	for {
		e, err := q.SubmitOnce(t.Context(), once, s)
		if attune.CodeOf(err) == attune.CodeUnavailable {
			continue
		}
		if err != nil {
			return nil, err
		}
		again, err := q.SubmitOnce(t.Context(), once, s)
		if err == nil && again.ID != e.ID {
			t.Errorf("the key %s made %s and %s", once.Key, e.ID, again.ID)
		}
		return []attune.Execution{e}, nil
	}
}

func (r *round) draw(random *rand.Rand) Submission {
	parameters, _ := json.Marshal(map[string]string{
		"customer": []string{"ann", "bob"}[random.IntN(2)], "color": []string{"red", "blue"}[random.IntN(2)],
	})
	return Submission{Action: r.actions[random.IntN(len(r.actions))].Ref, Parameters: parameters}
}

func (r *round) acknowledge(made []attune.Execution) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range made {
		r.acknowledged = append(r.acknowledged, e.ID)
	}
}

// cancels asks for the end of some, mostly of those that came last.
func (r *round) cancels(ctx context.Context, t *testing.T, q *Queue, random *rand.Rand) {
	for pause(ctx, time.Duration(random.IntN(60))*time.Millisecond) {
		r.mu.Lock()
		n := len(r.acknowledged)
		if n == 0 {
			r.mu.Unlock()
			continue
		}
		id := r.acknowledged[n-1-random.IntN(min(n, 20))]
		r.mu.Unlock()
		if _, err := q.Cancel(t.Context(), id); !excused(err) {
			t.Errorf("cancel: %v", err)
		}
	}
}

// policies changes what is in force at every level.
func (r *round) policies(ctx context.Context, t *testing.T, q *Queue, random *rand.Rand) {
	for pause(ctx, time.Duration(random.IntN(250))*time.Millisecond) {
		scope := r.scopes()[random.IntN(9)]
		var err error
		if random.IntN(3) == 0 {
			err = q.DeletePolicy(t.Context(), scope)
		} else {
			_, err = q.SetPolicy(t.Context(), scope, r.drawPolicy(random, scope.Action != ""))
		}
		if !excused(err) && attune.CodeOf(err) != attune.CodeNotFound {
			t.Errorf("change policy: %v", err)
		}
	}
}

// scopes are all that a policy may have: one for all, two packs, six actions.
func (r *round) scopes() []attune.Scope {
	scopes := []attune.Scope{{}, {Pack: "left"}, {Pack: "right"}}
	for _, a := range r.actions {
		scopes = append(scopes, attune.Scope{Action: a.Ref})
	}
	return scopes
}

// widen lets through what the limits held up, and has all workers count as alive.
func (r *round) widen(t *testing.T) {
	t.Helper()
	for _, scope := range r.scopes() {
		most := 1_000_000
		if _, err := r.queues[0].SetPolicy(t.Context(), scope, attune.Policy{MaxWaiting: &most}); err != nil {
			t.Error(err)
		}
	}
	_, err := r.queues[0].db.Pool().Exec(t.Context(),
		`update workers set lease_expires_at = clock_timestamp() + $1::interval`,
		lease)
	if err != nil {
		t.Error(err)
	}
}

// terminations ends connections at random.
func (r *round) terminations(ctx context.Context, t *testing.T, q *Queue, random *rand.Rand) {
	for pause(ctx, time.Duration(random.IntN(400))*time.Millisecond) {
		terminate(t, q, 1+random.IntN(4))
	}
}

// terminate ends up to n connections to the database of a queue, but its own.
func terminate(t *testing.T, q *Queue, n int) {
	t.Helper()
	_, err := q.db.Pool().Exec(t.Context(), `select pg_terminate_backend(pid) from (
		select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
			and (application_name = 'attune' or starts_with(application_name, 'listens to'))
		order by random() limit $1) chosen`, n)
	// Somebody else may have ended this one.
	if err = storage.Translate("end connections", err); !excused(err) {
		t.Error(err)
	}
}

// losses keeps from the second process what it had the database do.
func (r *round) losses(ctx context.Context, _ *testing.T, _ *Queue, random *rand.Rand) {
	for pause(ctx, time.Duration(random.IntN(200))*time.Millisecond) {
		r.swallower.armed.Store(1)
	}
}

// leases lets those of workers run out, and does what a worker does that finds out.
func (r *round) leases(ctx context.Context, t *testing.T, q *Queue, random *rand.Rand) {
	for pause(ctx, time.Duration(random.IntN(1000))*time.Millisecond) {
		_, err := q.db.Pool().Exec(t.Context(), `update workers set lease_expires_at = clock_timestamp() where name = $1`,
			fmt.Sprint("w", random.IntN(3)))
		if err == nil {
			err = q.maintain(t.Context())
		}
		if err = storage.Translate("let a lease run out", err); !excused(err) {
			t.Error(err)
		}
	}
}
