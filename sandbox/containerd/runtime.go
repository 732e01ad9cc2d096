package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"
	"google.golang.org/grpc"

	"attune"
	"attune/internal/inodes"
	"attune/sandbox"
	"attune/sandbox/containerd/cgroup"
	"attune/sandbox/containerd/network"
	"attune/sandbox/hostcheck"
)

// Config says which containerd runs the sandboxes, and where this host keeps what belongs to them.
type Config struct {
	// Address is the path of containerd's socket.
	Address string
	// Namespace of containerd that has the images; default "attune".
	Namespace string
	// Owner is written on every sandbox. List and Remove see those of the same owner only; a worker's name does.
	Owner string
	// StateDir is a folder for this owner alone: pipes, result files, the container runtime's state.
	StateDir string
	// Runtime makes the sandboxes that ask for none; default runc.
	Runtime attune.Runtime
	// BinDir has the runtimes; for what it lacks, the search path is used.
	BinDir string
	// Shim is the path of attune-shim, which makes and keeps the sandboxes of runc. Without one, containerd's own shim does: it is
	// slower, and takes a process of its own for each.
	Shim string
	// CgroupParent is the control group that all sandboxes live below; default "/attune".
	CgroupParent string
	// Network is for executions with network: egress. Without one they are refused.
	Network *network.Network
	// Logger hears of what could not be removed; default slog.Default().
	Logger *slog.Logger
}

const (
	// ownerLabel marks the container records of an owner.
	ownerLabel = "attune.owner"
	// connectTimeout bounds the first contact.
	connectTimeout = 10 * time.Second
)

// Runtime makes sandboxes with containerd.
type Runtime struct {
	config Config
	// runtimes has the path of each that this host can use.
	runtimes map[attune.Runtime]string
	// sleep is the program of keepers.
	sleep  string
	groups cgroup.Hierarchy
	level  string
	// appArmor is the profile of all sandboxes, empty on a host without.
	appArmor string
	ids      idRanges
	log      *slog.Logger

	assignments *assignments

	client    *client.Client
	records   containers.Store
	snapshots snapshots.Snapshotter
	tasks     tasks.TasksClient
	content   content.Provider
	own       *ownShim
	// chains remembers, by manifest digest, the snapshot that an image's layers add up to.
	chains sync.Map

	// live has, by id, every sandbox of this process of which something may be left.
	live sync.Map
	// retired waits for what is removed off the caller's path, retiring has a place for each.
	retired  sync.WaitGroup
	retiring chan struct{}
}

var _ sandbox.Runtime = (*Runtime)(nil)

// New connects to containerd and checks that this host can keep the promises of a sandbox. What is missing is an
// error that names it: there is no weaker mode.
func New(ctx context.Context, config Config) (*Runtime, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	found := hostcheck.Look(ctx, config.BinDir)
	if err := found.Err(); err != nil {
		return nil, err
	}
	usable, err := runtimes(found, config.BinDir)
	if err != nil {
		return nil, err
	}
	if usable[config.Runtime] == "" {
		return nil, fmt.Errorf("the default runtime %s: %w; `attune doctor` says why", config.Runtime, sandbox.ErrUnsupported)
	}
	sleep, err := hostcheck.FindTool(config.BinDir, "sleep")
	if err != nil {
		return nil, err
	}
	groups, err := cgroup.Find(cgroup.Mount)
	if err != nil {
		return nil, err
	}
	profile, err := confine(found)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{config.StateDir, config.runsDir(), config.executionsDir(), config.runcDir(), config.rootsDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
	}
	inodes.Spread(config.runsDir())
	inodes.Spread(config.runcDir())
	boot, err := currentBoot()
	if err != nil {
		return nil, err
	}
	assignments, err := openAssignments(&config, boot)
	if err != nil {
		return nil, err
	}
	conn, err := client.New(config.Address, client.WithDefaultNamespace(config.Namespace), client.WithTimeout(connectTimeout),
		// A containerd that is being started again is waited for, as long as the step has time.
		client.WithCallOpts([]grpc.CallOption{grpc.WaitForReady(true)}))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", config.Address, err)
	}
	if _, err := hostcheck.ProbeContainerd(ctx, conn, usable[attune.RuntimeRunc]); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &Runtime{
		config: config, runtimes: usable, sleep: sleep, groups: groups, level: found.Level, appArmor: profile, log: config.Logger,
		assignments: assignments, client: conn, records: conn.ContainerService(), snapshots: conn.SnapshotService(hostcheck.Snapshotter),
		tasks: conn.TaskService(), content: conn.ContentStore(),
		retiring: make(chan struct{}, maxRetiring),
		own:      &ownShim{program: config.Shim, state: config.runcDir(), roots: config.rootsDir(), complaints: filepath.Join(config.StateDir, "shim.log"), log: config.Logger},
	}
	if err := errors.Join(c.own.clean(), c.makeGroup(ctx)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *Config) complete() error {
	if c.Address == "" || c.Owner == "" || c.StateDir == "" {
		return errors.New("sandbox: address, owner and state folder are needed")
	}
	if c.Namespace == "" {
		c.Namespace = "attune"
	}
	if c.Runtime == "" {
		c.Runtime = attune.RuntimeRunc
	}
	if c.CgroupParent == "" {
		c.CgroupParent = "/attune"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	var err error
	if c.StateDir, err = filepath.Abs(c.StateDir); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	return nil
}

func (c *Config) runsDir() string { return filepath.Join(c.StateDir, "runs") }

// runcDir is where runc keeps the state of its containers.
func (c *Config) runcDir() string { return filepath.Join(c.StateDir, string(attune.RuntimeRunc)) }

// rootsDir has a folder for each shim, in which root file systems are mounted.
func (c *Config) rootsDir() string { return filepath.Join(c.StateDir, "roots") }

// executionsDir has the assignment of each execution that was given a sandbox, by its name.
func (c *Config) executionsDir() string { return filepath.Join(c.StateDir, "executions") }

// Level says how well sandboxes are isolated on this host: LevelFull, or what is missing, as Report has it.
func (c *Runtime) Level() string { return c.level }

// Close waits for the rest of those that have ended, and ends the connection. Sandboxes that run go on running, and another process of the same owner finds them.
func (c *Runtime) Close() error {
	c.retired.Wait()
	c.own.close()
	// Only an empty group can be removed, which is just what is wanted.
	_ = c.groups.Remove(c.config.CgroupParent)
	if err := c.client.Close(); err != nil {
		return fmt.Errorf("disconnect from containerd: %w", err)
	}
	return nil
}

func (c *Runtime) cgroupPath(id string) string { return filepath.Join(c.config.CgroupParent, id) }

func (c *Runtime) runDir(id string) runDir { return runDir(filepath.Join(c.config.runsDir(), id)) }
