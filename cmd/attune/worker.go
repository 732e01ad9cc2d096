package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"attune"
	"attune/imagebuilder"
	"attune/internal/cleanup"
	"attune/sandbox"
	"attune/sandbox/containerd"
	"attune/sandbox/containerd/network"
	"attune/scheduler"
	"attune/scheduler/executor"
)

// hostFlags are the settings of a worker and its host.
type hostFlags struct {
	ContainerdAddress string            `group:"service" env:"ATTUNE_CONTAINERD_ADDRESS" placeholder:"SOCKET" help:"containerd to use; without it, \"up\" runs a private one."`
	Namespace         string            `name:"containerd-namespace" group:"service" env:"ATTUNE_CONTAINERD_NAMESPACE" default:"attune" placeholder:"NAME" help:"Namespace in containerd."`
	BinDir            string            `group:"service" env:"ATTUNE_BIN_DIR" type:"path" placeholder:"DIR" help:"Folder with runc, CNI plugins and private daemons; \"make deps\" fills the default one."`
	Runtime           attune.Runtime    `group:"service" env:"ATTUNE_RUNTIME" enum:"runc,runsc" default:"runc" help:"Runtime of actions that name none: runc, or runsc (gVisor)."`
	CacheDir          string            `group:"service" env:"ATTUNE_CACHE_DIR" type:"path" placeholder:"DIR" help:"Folder for base images and built daemons."`
	Capacity          int               `group:"service" env:"ATTUNE_CAPACITY" placeholder:"N" help:"Slots: executions at one instant. Default: 4 for each processor."`
	Labels            map[string]string `name:"label" group:"service" env:"ATTUNE_LABELS" mapsep:"," placeholder:"KEY=VALUE" help:"Label that \"worker list\" shows. Repeatable."`
	WarmMemory        *int64            `group:"service" env:"ATTUNE_WARM_MEMORY" placeholder:"BYTES" help:"Memory for warm sandboxes; 0 keeps none. Default: an eighth of the host's."`
	LogCap            int64             `group:"service" env:"ATTUNE_LOG_CAP" default:"${log_cap}" help:"Bytes kept of each output stream of an action that sets no cap."`
	PythonIndex       string            `group:"service" env:"ATTUNE_PYTHON_INDEX" placeholder:"URL" help:"Python package index for builds."`
	NPMRegistry       string            `name:"npm-registry" group:"service" env:"ATTUNE_NPM_REGISTRY" placeholder:"URL" help:"npm registry for builds."`
	DebianMirror      string            `group:"service" env:"ATTUNE_DEBIAN_MIRROR" placeholder:"URL" help:"Debian mirror for base images and builds."`
	AllowCIDRs        []string          `name:"allow-cidr" group:"service" env:"ATTUNE_ALLOW_CIDRS" placeholder:"CIDR" help:"Private addresses that builds and actions with network: egress may reach."`
}

// workerRunCommand runs executions and builds images on this host.
type workerRunCommand struct {
	storeFlags
	hostFlags
}

// Help is the long text of `attune worker run --help`.
func (*workerRunCommand) Help() string { return environmentHelp }

// Run works until the process is told to end, then drains.
func (c *workerRunCommand) Run(ctx context.Context, s *session) error {
	openModes()
	log := s.logger()
	if err := c.setDefaults(); err != nil {
		return err
	}
	lock, err := lockWorker(c.storeFlags)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	st, err := c.open(ctx, c.addresses(s.getenv))
	if err != nil {
		return err
	}
	defer st.close()
	queue := scheduler.NewQueue(st.db, log)
	identity, err := hostIdentity(c.DataDir)
	if err != nil {
		return err
	}
	host, err := openHost(ctx, c.storeFlags, c.hostFlags, identity, st, queue, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "ready worker %s\n", host.worker.Name)
	return errors.Join(host.run(ctx, queue), host.close(ctx))
}

// lockWorker makes sure that one worker at a time has the name that is kept in the data folder.
func lockWorker(f storeFlags) (*os.File, error) {
	dir, err := f.folder("worker")
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the worker's lock: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, attune.Errorf(attune.CodeConflict,
			"another worker uses the data folder %s; give each its own --data-dir", f.DataDir)
	}
	return file, nil
}

// host is the part of Attune that needs containerd.
type host struct {
	worker    *scheduler.Worker
	pool      *sandbox.Pool
	installer *imagebuilder.Installer
	// isolation is the level that sandboxes here reach.
	isolation string
	opened    cleanup.Stack
}

// openHost connects to containerd and puts worker and installer together.
func openHost(
	ctx context.Context, f storeFlags, hf hostFlags, identity string, st *stores, queue *scheduler.Queue, log *slog.Logger,
) (_ *host, err error) {
	h := &host{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close(ctx))
		}
	}()
	name, err := workerName(f)
	if err != nil {
		return nil, err
	}
	builder, runtime, err := h.openContainerd(ctx, f, hf, name, log)
	if err != nil {
		return nil, err
	}
	staging, err := f.scratch("staging", 0) // The folder is this worker's alone.
	if err != nil {
		return nil, err
	}
	h.pool = sandbox.NewPool(sandbox.PoolConfig{
		Runtime: runtime, MemoryBytes: *hf.WarmMemory, Current: executor.Current(st.db), Log: log,
	})
	sandboxes, err := executor.New(executor.Config{
		DB: st.db, Runtime: runtime, Pool: h.pool, HasImage: builder.Has, Logs: st.logs, StateDir: f.sandboxes(),
		Marks: filepath.Join(f.DataDir, "judging"), LogBytes: hf.LogCap, Log: log,
	})
	if err != nil {
		return nil, err
	}
	h.worker, err = scheduler.NewWorker(scheduler.WorkerConfig{
		Name: name, Host: identity, Capacity: hf.Capacity, Labels: hf.Labels, DB: st.db, Queue: queue,
		Executor: sandboxes, Log: log,
	})
	h.installer = &imagebuilder.Installer{
		Worker: name, DB: st.db, Objects: st.objects, Logs: st.logs, Builder: builder, Activator: queue,
		StagingDir: staging, Log: log,
	}
	return h, err
}

// sandboxes is the folder of the container runtime's state.
func (f storeFlags) sandboxes() string { return filepath.Join(f.DataDir, "sandboxes") }

// openContainerd opens what speaks to containerd.
func (h *host) openContainerd(
	ctx context.Context, f storeFlags, hf hostFlags, name string, log *slog.Logger,
) (*imagebuilder.Builder, sandbox.Runtime, error) {
	egress, err := network.Open(network.Config{
		BinDir: hf.BinDir, StateDir: filepath.Join(f.DataDir, "network"), AllowCIDRs: hf.AllowCIDRs,
	})
	if err != nil {
		return nil, nil, err
	}
	h.opened.Add(egress.Close)
	builder, err := imagebuilder.New(ctx, imagebuilder.Config{
		Address: hf.ContainerdAddress, Namespace: hf.Namespace,
		CacheDir: hf.CacheDir, WorkDir: filepath.Join(f.DataDir, "builds"), Network: egress,
		PythonIndex: hf.PythonIndex, NPMRegistry: hf.NPMRegistry, DebianMirror: hf.DebianMirror, Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	h.opened.AddClose(builder.Close)
	runtime, err := containerd.New(ctx, containerd.Config{
		Address: hf.ContainerdAddress, Namespace: hf.Namespace, Owner: name, StateDir: f.sandboxes(),
		BinDir:  hf.BinDir,
		Runtime: hf.Runtime, Network: egress, Logger: log,
	})
	if err != nil {
		return nil, nil, err
	}
	h.opened.AddClose(runtime.Close)
	h.isolation = runtime.Level()
	return builder, runtime, nil
}

// run works until ctx ends and everything has come to rest. Wake-ups are sent to the very end of the drain.
func (h *host) run(ctx context.Context, queue *scheduler.Queue) error {
	notify, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	notifier := make(chan error, 1)
	go func() { notifier <- queue.Run(notify) }()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.worker.Run(ctx) })
	group.Go(func() error {
		h.pool.Run(ctx)
		return nil
	})
	group.Go(func() error { return h.installer.Run(ctx) })
	err := group.Wait()
	stop()
	return errors.Join(err, <-notifier)
}

func (h *host) close(ctx context.Context) error { return h.opened.Run(ctx, shutdownGrace) }

// setDefaults fills in where "make deps" puts what it builds.
func (hf *hostFlags) setDefaults() error {
	if hf.CacheDir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the cache folder; set ATTUNE_CACHE_DIR: %w", err)
		}
		hf.CacheDir = filepath.Join(cache, "attune")
	}
	if hf.BinDir == "" {
		hf.BinDir = filepath.Join(hf.CacheDir, "bin")
	}
	if hf.Capacity == 0 {
		hf.Capacity = perProcessor * runtime.NumCPU()
	}
	if hf.WarmMemory == nil {
		var host unix.Sysinfo_t
		if err := unix.Sysinfo(&host); err != nil {
			return fmt.Errorf("read the size of the memory; set ATTUNE_WARM_MEMORY: %w", err)
		}
		share := int64(host.Totalram) * int64(host.Unit) / warmShare
		hf.WarmMemory = &share
	}
	return nil
}

// warmShare is the part of the host's memory that sandboxes made ahead may take by default.
const warmShare = 8

// perProcessor is how many slots a processor gets by default: most actions wait for other services.
const perProcessor = 4

// workerName is made once and kept, so that the worker finds its executions again after a restart.
func workerName(f storeFlags) (string, error) {
	dir, err := f.folder("worker")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "name")
	switch kept, err := os.ReadFile(path); {
	case err == nil:
		return strings.TrimSpace(string(kept)), nil
	case !errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("read the worker's name: %w", err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("make the worker's name: %w", err)
	}
	name := hostname + "-" + strings.ToLower(rand.Text()[:8])
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the worker's name: %w", err)
	}
	return name, nil
}
