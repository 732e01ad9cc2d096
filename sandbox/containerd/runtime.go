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
	"attune/sandbox/hostcheck"
)

const (
	// ownerLabel marks the container records of an owner.
	ownerLabel = "attune.owner"
	// connectTimeout bounds the first contact.
	connectTimeout = 10 * time.Second
)

// Runtime makes sandboxes with containerd.
type Runtime struct {
	config      Config
	log         *slog.Logger
	assignments *assignments
	ids         idRanges

	// runtimes has the command of each container runtime that this host can use.
	runtimes map[attune.Runtime]string
	groups   cgroup.Hierarchy
	// openFiles is the most that a process of runc's sandboxes can have open.
	openFiles int64
	level     string
	// appArmor is the profile of all sandboxes, empty on a host without AppArmor.
	appArmor string

	client    *client.Client
	records   containers.Store
	snapshots snapshots.Snapshotter
	tasks     tasks.TasksClient
	content   content.Provider
	shim      *shim
	// chains caches, by manifest digest, the snapshot that has all layers of an image.
	chains sync.Map

	// live has, by id, every sandbox of this process of which a part may be left.
	live sync.Map
	// retired counts removals in the background, retiring has a slot for each.
	retired  sync.WaitGroup
	retiring chan struct{}
}

var _ sandbox.Runtime = (*Runtime)(nil)

// New connects to containerd, and checks that this host can keep the promises of a sandbox. It fails where something is
// missing, and names it: there is no weaker mode.
func New(ctx context.Context, config Config) (*Runtime, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	c := &Runtime{
		config: config, log: config.Logger, retiring: make(chan struct{}, maxRetiring),
		shim: &shim{
			state: config.runcDir(), roots: config.rootsDir(),
			complaints: filepath.Join(config.StateDir, "shim.log"), log: config.Logger,
		},
	}
	if err := c.examineHost(ctx); err != nil {
		return nil, err
	}
	if err := c.openState(); err != nil {
		return nil, err
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(c.shim.clean(), c.makeGroup(ctx)); err != nil {
		return nil, errors.Join(err, c.client.Close())
	}
	return c, nil
}

// examineHost learns what this host has for sandboxes.
func (c *Runtime) examineHost(ctx context.Context) (err error) {
	found := hostcheck.Look(ctx, c.config.BinDir)
	if err := found.Err(); err != nil {
		return err
	}
	c.level = found.Level
	if c.runtimes, err = runtimes(found, c.config.BinDir); err != nil {
		return err
	}
	if c.runtimes[c.config.Runtime] == "" {
		return fmt.Errorf("the default runtime %s: %w; `attune doctor` says why", c.config.Runtime, sandbox.ErrUnsupported)
	}
	if c.shim.program, err = hostcheck.FindTool(c.config.BinDir, hostcheck.Shim); err != nil {
		return err
	}
	if c.groups, err = cgroup.Find(cgroup.Mount); err != nil {
		return err
	}
	if c.openFiles, err = hostcheck.OpenFiles(); err != nil {
		return err
	}
	c.appArmor, err = confine(found)
	return err
}

// openState makes the folders of the owner, and reads what its last process left in them.
func (c *Runtime) openState() error {
	for _, dir := range []string{
		c.config.StateDir, c.config.runsDir(), c.config.executionsDir(), c.config.runcDir(), c.config.rootsDir(),
	} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	inodes.Spread(c.config.runsDir())
	inodes.Spread(c.config.runcDir())
	boot, err := currentBoot()
	if err != nil {
		return err
	}
	c.assignments, err = openAssignments(&c.config, boot)
	return err
}

func (c *Runtime) connect(ctx context.Context) error {
	conn, err := client.New(c.config.Address,
		client.WithDefaultNamespace(c.config.Namespace), client.WithTimeout(connectTimeout),
		// Calls wait for a containerd that is being restarted, as long as their step has time.
		client.WithCallOpts([]grpc.CallOption{grpc.WaitForReady(true)}))
	if err != nil {
		return fmt.Errorf("connect to containerd at %s: %w", c.config.Address, err)
	}
	if _, err := hostcheck.ProbeContainerd(ctx, conn, c.runtimes[attune.RuntimeRunc]); err != nil {
		return errors.Join(err, conn.Close())
	}
	c.client, c.records, c.tasks, c.content = conn, conn.ContainerService(), conn.TaskService(), conn.ContentStore()
	c.snapshots = conn.SnapshotService(hostcheck.Snapshotter)
	return nil
}

// Level says how well this host isolates sandboxes: hostcheck.LevelFull, or what is missing.
func (c *Runtime) Level() string { return c.level }

// Close waits for removals in the background and closes the connection. Running sandboxes go on; another process of the
// same owner attaches to them.
func (c *Runtime) Close() error {
	c.retired.Wait()
	c.shim.close()
	_ = c.groups.Remove(c.config.CgroupParent) // fails while a sandbox is in it, as it should
	if err := c.client.Close(); err != nil {
		return fmt.Errorf("disconnect from containerd: %w", err)
	}
	return nil
}
