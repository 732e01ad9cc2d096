package scheduler

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"attune"
	"attune/sandbox"
	"attune/storage/logs"
)

// record is what an execution leaves in the log bucket.
type record struct {
	logs           *logs.Store
	prefix         string
	stdout, stderr *logs.Writer
	manifest       logs.Manifest
	// result, outputs and document are those that end laid into the spool; there may be no result.
	result, document *logs.Document
	outputs          []*logs.Document
}

// storeTimeout bounds how long a finished execution waits for object storage; past it, the spool keeps the log.
const storeTimeout = 15 * time.Second

// openStream is Logs.CreateAttempt, or Logs.Resume for an attempt that is attached.
type openStream func(prefix string, attempt int, stream string, capacity int64) (*logs.Writer, error)

// openRecord opens the two streams of an attempt.
func (s *Sandboxes) openRecord(ctx context.Context, c Claim, action attune.Action, open openStream) (*record, error) {
	limit := cmp.Or(action.Resources.LogBytes, s.LogBytes)
	r := &record{
		logs:   s.Logs,
		prefix: s.prefix(c),
		manifest: logs.Manifest{
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

// end closes the streams and lays what tells of them, and the result, into the spool: from here on, all of it gets into the
// bucket even if this process dies. It is quick, for the outcome is recorded after it, and waits for object storage no more than
// whoever waits for the outcome. The objects lie in a folder of the attempt's own when another will follow, whose files then
// stand at the top.
func (r *record) end(o Outcome, exit sandbox.Exit, again bool) error {
	if again {
		r.prefix = logs.AttemptPrefix(r.prefix, r.manifest.Attempts)
	}
	stdout, outErr := r.stdout.End(r.prefix)
	stderr, errErr := r.stderr.End(r.prefix)
	r.manifest.Status, r.manifest.Reason, r.manifest.ExitCode = o.Status, o.Reason, o.ExitCode
	if !exit.StartedAt.IsZero() {
		r.manifest.StartedAt, r.manifest.FinishedAt = &exit.StartedAt, &exit.FinishedAt
	}
	r.manifest.Usage = o.Usage
	r.manifest.Streams = map[attune.Stream]logs.Summary{attune.Stdout: stdout, attune.Stderr: stderr}
	var resultErr, manifestErr error
	if result := trimmed(exit.Result); o.Reason != attune.ReasonInvalidResult && result != nil {
		r.result, resultErr = r.logs.SpoolResult(r.prefix, result)
	}
	outputErr := r.spoolOutputs(exit.Outputs)
	r.document, manifestErr = r.logs.SpoolManifest(r.prefix, r.manifest)
	return errors.Join(outErr, errErr, resultErr, outputErr, manifestErr)
}

// spoolOutputs lays the files that were left into the spool; the manifest names those that the disk took.
func (r *record) spoolOutputs(outputs []sandbox.Output) (err error) {
	for _, o := range outputs {
		file, document, spoolErr := r.logs.SpoolOutput(r.prefix, o.Name, o.Content)
		if spoolErr != nil {
			err = errors.Join(err, spoolErr)
			continue
		}
		r.manifest.Outputs, r.outputs = append(r.manifest.Outputs, file), append(r.outputs, document)
	}
	return err
}

// store puts all of it into the bucket, the manifest last: where a manifest stands, all of it stands. What object storage does
// not take in time is left in the spool, which keeps the order.
func (r *record) store(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var stores errgroup.Group
	stores.Go(func() error { return r.stdout.Upload(ctx) })
	stores.Go(func() error { return r.stderr.Upload(ctx) })
	if r.result != nil {
		stores.Go(func() error { return r.result.Upload(ctx) })
	}
	stores.Go(func() (err error) {
		for _, o := range r.outputs {
			err = errors.Join(err, o.Upload(ctx))
		}
		return err
	})
	err := stores.Wait()
	switch {
	case r.document == nil: // it could not be encoded
		return err
	case err != nil:
		r.document.Leave()
		return err
	default:
		return r.document.Upload(ctx)
	}
}
