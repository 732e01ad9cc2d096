package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"attune/internal/daemon"
	"attune/sandbox/hostcheck"
	"attune/scheduler"
)

// upCommand is everything on one host: the daemons that are not configured, the API and a worker.
type upCommand struct {
	storeFlags
	hostFlags
	historyFlags
	ceilingFlags
	Listen string `default:"127.0.0.1:8080" env:"ATTUNE_LISTEN" help:"Address of the REST API; port 0 chooses a free one."`
}

// Help is the long text of `attune up --help`.
func (*upCommand) Help() string {
	return `Prints "ready URL" when it serves, and stays until SIGTERM or Ctrl-C. ` +
		`Source DIR/connections.env in another shell:
it has the addresses and an administrator's token.
` + environmentHelp + `
Without ATTUNE_DATABASE_URL, --s3-endpoint or --containerd-address it runs a private PostgreSQL, MinIO or containerd in
DIR. Addresses from DIR's own connections.env do not count as configured; those of another folder do.

Examples:

    attune up --data-dir /var/lib/attune
    attune up --data-dir /tmp/attune --listen 127.0.0.1:0
`
}

// Run brings everything up, prints "ready <url>", and stays until the process is told to end.
func (c *upCommand) Run(ctx context.Context, s *session) (err error) {
	openModes()
	log := s.logger()
	if err := c.setDefaults(); err != nil {
		return err
	}
	a := c.addresses(s.getenv)
	daemons, private, err := c.startDaemons(ctx, &a, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDaemons(ctx, daemons)) }()
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(c.DataDir, "secret.key")
	}
	if err := ensureKeyFile(c.KeyFile); err != nil {
		return err
	}
	st, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer st.close()
	return c.serveAndWork(ctx, s, st, a, private, log)
}

// startDaemons starts what is not configured and fills in where it is. It returns the names of the settings filled in.
func (c *upCommand) startDaemons(
	ctx context.Context, a *addresses, log *slog.Logger,
) (_ *daemon.Set, private []string, err error) {
	for _, given := range []struct {
		name  string
		value *string
	}{
		{"ATTUNE_DATABASE_URL", &a.databaseURL}, {"ATTUNE_S3_ENDPOINT", &a.s3Endpoint},
		{"ATTUNE_CONTAINERD_ADDRESS", &c.ContainerdAddress},
	} {
		own, err := c.isPrivate(given.name, *given.value)
		if err != nil {
			return nil, nil, err
		}
		if own || *given.value == "" {
			*given.value = ""
			private = append(private, given.name)
			continue
		}
		log.Info("configured, so there is no private daemon for it", "setting", given.name)
	}
	daemons, err := daemon.Start(ctx, daemon.Config{
		Dir: c.DataDir, BinDir: c.BinDir, Log: log,
		Postgres: a.databaseURL == "", MinIO: a.s3Endpoint == "", Containerd: c.ContainerdAddress == "",
	})
	if err != nil {
		return nil, nil, withBinariesHint(err)
	}
	if a.databaseURL == "" {
		a.databaseURL = daemons.DatabaseURL
	}
	if a.s3Endpoint == "" {
		a.s3Endpoint, a.s3AccessKey, a.s3SecretKey = daemons.S3Endpoint, daemons.S3AccessKey, daemons.S3SecretKey
	}
	if c.ContainerdAddress == "" {
		c.ContainerdAddress = daemons.ContainerdAddress
	}
	return daemons, private, nil
}

// withBinariesHint adds where missing daemons come from.
func withBinariesHint(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return &hintedError{error: err,
		hint: "`make deps` builds the daemons; --bin-dir or ATTUNE_BIN_DIR says where they are"}
}

// closeDaemons ends the daemons although the context that started them has ended.
func closeDaemons(ctx context.Context, daemons *daemon.Set) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return daemons.Close(ctx)
}

// serveAndWork runs API and worker. The API ends first, then the worker drains.
func (c *upCommand) serveAndWork(
	ctx context.Context, s *session, st *stores, a addresses, private []string, log *slog.Logger,
) (err error) {
	lock, err := lockWorker(c.storeFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	limits, err := c.limits()
	if err != nil {
		return err
	}
	openFiles, err := hostcheck.OpenFiles()
	if err != nil {
		return err
	}
	limits.Resources.OpenFiles = min(limits.Resources.OpenFiles, openFiles) // this host has the worker
	queue := scheduler.NewQueue(st.db, log)
	var identity string // a private database moves with its folder, and no other host reaches it
	if !slices.Contains(private, "ATTUNE_DATABASE_URL") {
		if identity, err = hostIdentity(c.DataDir); err != nil {
			return err
		}
	}
	h, err := openHost(ctx, c.storeFlags, c.hostFlags, identity, st, queue, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close(ctx)) }()
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	if err := c.announce(ctx, st, a, url, c.ContainerdAddress, private...); err != nil {
		return errors.Join(err, listener.Close())
	}
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stopWork()
		return c.serve(ctx, st, queue, listener, served{limits, h.isolation}, log, poolMetrics(h.pool)...)
	})
	group.Go(func() error {
		c.cleaner(st, log).Run(ctx)
		return nil
	})
	group.Go(func() error { return h.run(working, queue) })
	fmt.Fprintf(s.stdout, "ready %s\n", url)
	return group.Wait()
}
