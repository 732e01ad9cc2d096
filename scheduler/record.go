package scheduler

import (
	"cmp"
	"context"
	"errors"
	"time"

	"attune"
	"attune/sandbox"
	"attune/storage"
)

// record is what an execution leaves in the log bucket.
type record struct {
	logs           *storage.Logs
	prefix         string
	stdout, stderr *storage.LogWriter
	manifest       storage.Manifest
}

// storeTimeout bounds how long a finished execution waits for object storage; past it, the spool keeps the log.
const storeTimeout = 15 * time.Second

// openRecord makes the two streams of an execution.
func (w *Worker) openRecord(ctx context.Context, c claim, action attune.Action) (*record, error) {
	limit := cmp.Or(action.Resources.LogBytes, w.LogBytes)
	r := &record{
		logs:   w.Logs,
		prefix: storage.ExecutionPrefix(c.Pack, action.Name(), c.CreatedAt, c.ID),
		manifest: storage.Manifest{
			Execution: c.ID, Action: c.Action, PackVersion: c.PackVersion, ImageDigest: c.ImageDigest, Attempts: c.Attempt,
		},
	}
	var err error
	if r.stdout, err = w.Logs.Create(r.prefix, string(attune.Stdout), limit); err != nil {
		return nil, err
	}
	if r.stderr, err = w.Logs.Create(r.prefix, string(attune.Stderr), limit); err != nil {
		_, closeErr := r.stdout.Close(ctx)
		return nil, errors.Join(err, closeErr)
	}
	return r, nil
}

// close stores the streams, the result and the manifest, in this order: where a manifest stands, all of it stands. What
// object storage does not take in time is left in the spool, which keeps the order.
func (r *record) close(ctx context.Context, o outcome, exit sandbox.Exit) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	stdout, outErr := r.stdout.Close(ctx)
	stderr, errErr := r.stderr.Close(ctx)
	if err := errors.Join(outErr, errErr); err != nil && attune.CodeOf(err) != attune.CodeUnavailable {
		return err
	}
	var resultErr error
	if result := trimmed(exit.Result); o.Reason != attune.ReasonInvalidResult && result != nil {
		resultErr = r.logs.PutResult(ctx, r.prefix, result)
	}
	r.manifest.Status, r.manifest.Reason, r.manifest.ExitCode = o.Status, o.Reason, o.ExitCode
	if !exit.StartedAt.IsZero() {
		r.manifest.StartedAt, r.manifest.FinishedAt = &exit.StartedAt, &exit.FinishedAt
	}
	r.manifest.Streams = map[attune.Stream]storage.LogSummary{attune.Stdout: stdout, attune.Stderr: stderr}
	return errors.Join(outErr, errErr, resultErr, r.logs.PutManifest(ctx, r.prefix, r.manifest))
}
