package scheduler

import (
	"cmp"
	"context"
	"errors"
	"sync"
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

// openStream is Logs.CreateAttempt, or Logs.Resume for an attempt that is attached.
type openStream func(prefix string, attempt int, stream string, capacity int64) (*storage.LogWriter, error)

// openRecord opens the two streams of an attempt.
func (s *Sandboxes) openRecord(ctx context.Context, c Claim, action attune.Action, open openStream) (*record, error) {
	limit := cmp.Or(action.Resources.LogBytes, s.LogBytes)
	r := &record{
		logs:   s.Logs,
		prefix: s.prefix(c),
		manifest: storage.Manifest{
			Execution: c.ID, Action: c.Action, PackVersion: c.PackVersion, ImageDigest: c.ImageDigest, Attempts: c.Attempt,
		},
	}
	var err error
	if r.stdout, err = open(r.prefix, c.Attempt, string(attune.Stdout), limit); err != nil {
		return nil, err
	}
	if r.stderr, err = open(r.prefix, c.Attempt, string(attune.Stderr), limit); err != nil {
		_, closeErr := r.stdout.Close(ctx)
		return nil, errors.Join(err, closeErr)
	}
	return r, nil
}

// store puts away the streams, the result and the output files, then the manifest: where a manifest stands, all of it stands. What
// object storage does not take in time is left in the spool, which keeps the order. They lie in a folder of the attempt's own
// when another will follow, whose files then stand at the top. Until release, all of it can be done again.
func (r *record) store(ctx context.Context, o Outcome, exit sandbox.Exit, again bool) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if again {
		r.prefix = storage.AttemptPrefix(r.prefix, r.manifest.Attempts)
	}
	var stdout, stderr storage.LogSummary
	var outErr, errErr, resultErr, outputErr error
	// Whoever waits for the result waits for these.
	var stores sync.WaitGroup
	stores.Go(func() { stdout, outErr = r.stdout.StoreAt(ctx, r.prefix) })
	stores.Go(func() { stderr, errErr = r.stderr.StoreAt(ctx, r.prefix) })
	if result := trimmed(exit.Result); o.Reason != attune.ReasonInvalidResult && result != nil {
		stores.Go(func() { resultErr = r.logs.PutResult(ctx, r.prefix, result) })
	}
	stores.Go(func() { r.manifest.Outputs, outputErr = r.storeOutputs(ctx, exit.Outputs) })
	stores.Wait()
	if err := errors.Join(outErr, errErr); err != nil && attune.CodeOf(err) != attune.CodeUnavailable {
		return err
	}
	r.manifest.Status, r.manifest.Reason, r.manifest.ExitCode = o.Status, o.Reason, o.ExitCode
	if !exit.StartedAt.IsZero() {
		r.manifest.StartedAt, r.manifest.FinishedAt = &exit.StartedAt, &exit.FinishedAt
	}
	r.manifest.Usage = o.Usage
	r.manifest.Streams = map[attune.Stream]storage.LogSummary{attune.Stdout: stdout, attune.Stderr: stderr}
	return errors.Join(outErr, errErr, resultErr, outputErr, r.logs.PutManifest(ctx, r.prefix, r.manifest))
}

// storeOutputs puts away the files that were left; those that are kept, now or by the spool, are returned.
func (r *record) storeOutputs(ctx context.Context, outputs []sandbox.Output) (kept []attune.OutputFile, err error) {
	for _, o := range outputs {
		file, putErr := r.logs.PutOutput(ctx, r.prefix, o.Name, o.Content)
		if err = errors.Join(err, putErr); putErr == nil || attune.CodeOf(putErr) == attune.CodeUnavailable {
			kept = append(kept, file)
		}
	}
	return kept, err
}

// release gives up the spool of what is stored.
func (r *record) release() error { return errors.Join(r.stdout.Release(), r.stderr.Release()) }
