package imagebuilder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"attune"
	"attune/imagebuilder/pack"
	"attune/storage"
	"attune/storage/logs"
	"attune/storage/s3"
)

const (
	installPoll = 5 * time.Second
	// installLogBytes caps the log of an installation; a resolver that prints more is in a loop.
	installLogBytes = 10 << 20
	// recordTimeout bounds what is written to the database after the context has ended.
	recordTimeout = 30 * time.Second
)

// Installer claims installations and builds them, one after the other.
type Installer struct {
	// Worker is the name under which installations are claimed.
	Worker  string
	DB      *storage.DB
	Objects *s3.Store
	Logs    *logs.Store
	Builder *Builder
	// Activator is the queue. Its package may not be imported here.
	Activator Activator
	// StagingDir holds one archive while it is built.
	StagingDir string
	Log        *slog.Logger
}

// Activator ends an installation and makes the version that was built the one that new executions use.
type Activator interface {
	Activate(ctx context.Context, installationID, worker, imageDigest string) error
}

// Run builds pending installations until ctx ends. An interrupted build becomes pending again.
func (in *Installer) Run(ctx context.Context) error {
	listener := in.DB.Listen(ctx, storage.InstallationChannel)
	defer listener.Wait()
	poll := time.NewTicker(installPoll)
	defer poll.Stop()
	for ctx.Err() == nil {
		if err := in.drain(ctx); err != nil && ctx.Err() == nil {
			in.Log.Error("installer cannot work", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-listener.C(storage.InstallationChannel):
		case <-poll.C:
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	return in.DB.Installations.ResetLost(ctx, in.Worker)
}

// drain builds until nothing waits, then removes the images that no pack and no execution needs.
func (in *Installer) drain(ctx context.Context) error {
	// Only this loop builds: what is still claimed was claimed or finished while the database was failing.
	if err := in.DB.Installations.ResetLost(ctx, in.Worker); err != nil {
		return err
	}
	for {
		installation, manifest, err := in.DB.Installations.Claim(ctx, in.Worker)
		if err != nil {
			return err
		}
		if installation == nil {
			break
		}
		if err := in.install(ctx, *installation, manifest); err != nil {
			return err
		}
	}
	// Collect considers only images of this builder, and only this loop makes them: all of them are recorded by now.
	digests, err := in.DB.Installations.Digests(ctx)
	if err != nil {
		return err
	}
	return in.Builder.Collect(ctx, digests)
}

// install builds one installation and records the outcome. Its error is about the recording, not the build.
func (in *Installer) install(ctx context.Context, i attune.Installation, m attune.Manifest) error {
	log := in.Log.With("pack", i.Pack, "version", i.Version, "installation", i.ID)
	stream, err := in.Logs.Create(logs.InstallationPrefix(i.Pack, i.ID), logs.InstallationStream, installLogBytes)
	if err != nil {
		return err
	}
	digest, buildErr := in.build(ctx, i, m, stream)
	interrupted := ctx.Err()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	switch {
	case interrupted != nil:
		fmt.Fprintln(stream, "interrupted: the service is stopping; the installation goes on when it is back")
	case buildErr != nil:
		fmt.Fprintf(stream, "failed: %s\n", userMessage(buildErr))
	default:
		fmt.Fprintf(stream, "installed %s %s as %s\n", i.Pack, i.Version, digest)
	}
	// An unreachable object storage must leave time to record the outcome.
	storing, stop := context.WithTimeout(ctx, recordTimeout/2)
	defer stop()
	if _, err := stream.Close(storing); err != nil {
		log.Error("installation log not stored; it stays in the spool", "error", err)
	}
	if interrupted != nil {
		return interrupted
	}
	if buildErr != nil {
		log.Error("installation failed", "error", buildErr)
		return in.DB.Installations.Fail(ctx, i.ID, in.Worker, userMessage(buildErr))
	}
	err = in.Activator.Activate(ctx, i.ID, in.Worker, digest)
	if err != nil && attune.CodeOf(err) == "" {
		// Another try would be refused, too.
		return errors.Join(err, in.DB.Installations.Fail(ctx, i.ID, in.Worker, userMessage(err)))
	}
	if err == nil {
		log.Info("installed", "image", digest)
	}
	return err
}

// build fetches the archive and builds it.
func (in *Installer) build(ctx context.Context, i attune.Installation, m attune.Manifest,
	log io.Writer,
) (_ string, err error) {
	phase := func(p attune.InstallationPhase) {
		fmt.Fprintf(log, "== %s\n", p)
		if err := in.DB.Installations.SetPhase(ctx, i.ID, in.Worker, p); err != nil {
			in.Log.Warn("phase not recorded", "installation", i.ID, "phase", p, "error", err)
		}
	}
	phase(attune.PhaseFetch)
	archive, err := in.fetch(ctx, i)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	if archive.Manifest.Ref != m.Ref || archive.Manifest.Version != m.Version {
		return "", fmt.Errorf("stored archive is of %s %s, not of %s %s", archive.Manifest.Ref, archive.Manifest.Version,
			m.Ref, m.Version)
	}
	image, err := in.Builder.Build(ctx, archive, log, phase)
	return image.Digest, err
}

// fetch reads the stored archive and checks it like an upload, since others may write to the bucket.
func (in *Installer) fetch(ctx context.Context, i attune.Installation) (_ *pack.Archive, err error) {
	object, err := in.Objects.GetArchive(ctx, i.Pack, i.Version, i.ArchiveSHA256)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, object.Close()) }()
	file, err := os.CreateTemp(in.StagingDir, "archive-*")
	if err != nil {
		return nil, fmt.Errorf("stage archive: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(file, sum), object); err != nil {
		return nil, fmt.Errorf("fetch archive: %w", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != i.ArchiveSHA256 {
		return nil, attune.Invalid("the stored archive is not the one that was uploaded; upload the pack again")
	}
	return pack.Open(ctx, file, in.StagingDir, pack.DefaultLimits())
}

// userMessage is what users read about a failed build: the text of an *attune.Error; other errors are internal.
func userMessage(err error) string {
	if attune.CodeOf(err) != "" {
		return err.Error()
	}
	return "the service could not build the image; its log has the details"
}
