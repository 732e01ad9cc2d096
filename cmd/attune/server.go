package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"attune/api"
	"attune/imagebuilder/pack"
	"attune/scheduler"
)

// serverCommand is the REST API without workers.
type serverCommand struct {
	storeFlags
	historyFlags
	ceilingFlags
	Listen string `default:"127.0.0.1:8080" env:"ATTUNE_LISTEN" help:"Address of the REST API."`
}

// Help is the long text of `attune server --help`.
func (*serverCommand) Help() string { return environmentHelp }

// Run serves until the process is told to end.
func (c *serverCommand) Run(ctx context.Context, s *session) error {
	openModes()
	log := s.logger()
	if _, err := c.folder(""); err != nil {
		return err
	}
	a := c.addresses(s.getenv)
	st, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer st.close()
	limits, err := c.limits()
	if err != nil {
		return err
	}
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	if err := c.announce(ctx, st, a, url, ""); err != nil {
		return errors.Join(err, listener.Close())
	}
	queue := scheduler.NewQueue(st.db, log)
	fmt.Fprintf(s.stdout, "ready %s\n", url)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return queue.Run(ctx) })
	group.Go(func() error {
		c.cleaner(st, log).Run(ctx)
		return nil
	})
	group.Go(func() error { return c.serve(ctx, st, queue, listener, served{limits: limits}, log) })
	return group.Wait()
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &userError{message: err.Error(), hint: "choose another address with --listen", status: exitOther}
	}
	return listener, nil
}

// shutdownGrace is how long open requests may go on when the server ends.
const shutdownGrace = 5 * time.Second

// abandonedUpload is longer than any upload takes; another server may use the folder, too.
const abandonedUpload = time.Hour

// served is what the API shows of this host, and the packs that it accepts.
type served struct {
	limits pack.Limits
	// isolation is the level of sandboxes here, empty without a worker.
	isolation string
}

// ceilingFlags are the operator's ceilings for the resources of actions.
type ceilingFlags struct {
	MaxResources string `group:"service" env:"ATTUNE_MAX_RESOURCES" placeholder:"LIMITS" help:"Ceilings of an action's resources, as in its file: \"memory: 1Gi, pids: 256\". Packs that ask for more are refused."`
}

func (f ceilingFlags) limits() (pack.Limits, error) {
	limits := pack.DefaultLimits()
	if f.MaxResources == "" {
		return limits, nil
	}
	var err error
	if limits.Resources, err = pack.ParseCeilings(f.MaxResources); err != nil {
		return limits, fmt.Errorf("--max-resources: %w", err)
	}
	return limits, nil
}

// serve answers requests until ctx ends, then lets the open ones finish. more is what else it shows at /metrics.
func (f storeFlags) serve(
	ctx context.Context, st *stores, queue *scheduler.Queue, listener net.Listener, says served, log *slog.Logger,
	more ...prometheus.Collector,
) error {
	staging, err := f.scratch("uploads", abandonedUpload)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	handler, err := api.New(api.Config{
		DB: st.db, Objects: st.objects, Logs: st.logs, Queue: queue, StagingDir: staging, Ending: ctx,
		Limits: says.limits, Isolation: says.isolation, Collectors: more, Version: versionText(), Log: log,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := api.Server(listener.Addr().String(), handler, log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping; no more requests are taken")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // Streams that did not end in time are cut.
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
