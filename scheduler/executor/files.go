package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"attune"
	"attune/sandbox"
	"attune/scheduler"
	"attune/storage/logs"
)

// files are what an attempt leaves in the log bucket.
type files struct {
	store          *logs.Store
	prefix         string
	stdout, stderr *logs.Writer
	// result is nil where the action returned nothing, document where the manifest could not be encoded.
	result, document *logs.Document
	outputs          []*logs.Document
	manifest         logs.Manifest
}

// openStream is CreateAttempt of logs.Store, or Resume for an attempt that goes on.
type openStream func(prefix string, attempt int, stream string, capacity int64) (*logs.Writer, error)

// openFiles opens the attempt's two streams.
func (a *attempt) openFiles(open openStream) error {
	c, limit := a.claim, cmp.Or(a.action.Resources.LogBytes, a.LogBytes)
	f := &files{
		store:  a.Logs,
		prefix: prefixOf(c),
		manifest: logs.Manifest{
			Execution: c.ID, Action: c.Action, PackVersion: c.PackVersion, ImageDigest: c.ImageDigest, Attempts: c.Attempt,
		},
	}
	var err error
	if f.stdout, err = open(f.prefix, c.Attempt, string(attune.Stdout), limit); err != nil {
		return err
	}
	if f.stderr, err = open(f.prefix, c.Attempt, string(attune.Stderr), limit); err != nil {
		return errors.Join(err, f.stdout.Leave())
	}
	a.files = f
	return nil
}

// maxNotKeptLines bounds the lines about what is not kept.
const maxNotKeptLines = 20

// sayNotKept adds to stderr which files of the action's are not kept, and why. The manifest has them all.
func (f *files) sayNotKept(files []attune.NotKept) error {
	if len(files) == 0 {
		return nil
	}
	var lines strings.Builder
	for _, file := range files[:min(len(files), maxNotKeptLines)] {
		fmt.Fprintf(&lines, "attune: not kept: %s: %s\n", file.Name, file.Reason)
	}
	if more := len(files) - maxNotKeptLines; more > 0 {
		fmt.Fprintf(&lines, "attune: not kept: %d more, which manifest.json names\n", more)
	}
	_, err := f.stderr.Write([]byte(lines.String()))
	return err
}

// end closes the streams and puts the result, the output files and the manifest into the spool: from here on, all of it
// reaches the bucket even if this process dies, or the host loses its power. It does not wait for object storage. The
// files of an attempt that another one follows get a folder of their own; the last attempt's stand at the top.
func (f *files) end(o scheduler.Outcome, exit sandbox.Exit) error {
	if o.RetryAfter != nil {
		f.prefix = logs.AttemptPrefix(f.prefix, f.manifest.Attempts)
	}
	sayErr := f.sayNotKept(exit.NotKept)
	stdout, outErr := f.stdout.End(f.prefix)
	stderr, errErr := f.stderr.End(f.prefix)
	f.manifest.Status, f.manifest.Reason, f.manifest.ExitCode = o.Status, o.Reason, o.ExitCode
	if !exit.StartedAt.IsZero() {
		f.manifest.StartedAt, f.manifest.FinishedAt = &exit.StartedAt, &exit.FinishedAt
	}
	f.manifest.Usage = o.Usage
	f.manifest.Streams = map[attune.Stream]logs.Summary{attune.Stdout: stdout, attune.Stderr: stderr}
	var resultErr, manifestErr error
	if result := trimmed(exit.Result); result != nil {
		f.result, resultErr = f.store.SpoolResult(f.prefix, result)
	}
	outputErr := f.spoolOutputs(exit.Outputs)
	f.manifest.NotKept = exit.NotKept
	f.document, manifestErr = f.store.SpoolManifest(f.prefix, f.manifest)
	return errors.Join(sayErr, outErr, errErr, resultErr, outputErr, manifestErr, f.sync())
}

// sync makes what is in the spool outlast a loss of power.
func (f *files) sync() error {
	documents := slices.Clone(f.outputs)
	for _, d := range []*logs.Document{f.result, f.document} {
		if d != nil {
			documents = append(documents, d)
		}
	}
	return f.store.Sync([]*logs.Writer{f.stdout, f.stderr}, documents)
}

// spoolOutputs puts the output files into the spool; the manifest names those that the disk took.
func (f *files) spoolOutputs(outputs []sandbox.Output) (err error) {
	for _, o := range outputs {
		file, document, spoolErr := f.store.SpoolOutput(f.prefix, o.Name, o.Content)
		if spoolErr != nil {
			err = errors.Join(err, spoolErr)
			continue
		}
		f.manifest.Outputs, f.outputs = append(f.manifest.Outputs, file), append(f.outputs, document)
	}
	return err
}

// upload puts all files into the bucket, the manifest last: where a manifest stands, all of it stands. What object
// storage does not take before ctx ends stays in the spool.
func (f *files) upload(ctx context.Context) error {
	var uploads errgroup.Group
	uploads.Go(func() error { return f.stdout.Upload(ctx) })
	uploads.Go(func() error { return f.stderr.Upload(ctx) })
	if f.result != nil {
		uploads.Go(func() error { return f.result.Upload(ctx) })
	}
	uploads.Go(func() (err error) {
		for _, o := range f.outputs {
			err = errors.Join(err, o.Upload(ctx))
		}
		return err
	})
	err := uploads.Wait()
	if f.document == nil {
		return err
	}
	if err != nil {
		f.document.Leave()
		return err
	}
	return f.document.Upload(ctx)
}

// leave leaves all files in the spool.
func (f *files) leave() error {
	if f.result != nil {
		f.result.Leave()
	}
	for _, o := range f.outputs {
		o.Leave()
	}
	if f.document != nil {
		f.document.Leave()
	}
	return errors.Join(f.stdout.Leave(), f.stderr.Leave())
}
