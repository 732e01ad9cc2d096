package containerd

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"attune"
	"attune/sandbox/containerd/network"
)

// Config says which containerd runs the sandboxes, and where this host keeps what belongs to them.
type Config struct {
	// Address is the path of containerd's socket.
	Address string
	// Namespace is the namespace in containerd that has the images. The default is "attune".
	Namespace string
	// Owner is a label on every sandbox: a worker's name. A Runtime sees the sandboxes of its owner only.
	Owner string
	// StateDir is a folder for this owner alone: run directories, records of executions, the state of container runtimes.
	StateDir string
	// Runtime makes the sandboxes whose Spec names none. The default is runc.
	Runtime attune.Runtime
	// BinDir has attune-shim and the commands of runtimes. What it lacks is looked for beside this program and on the
	// search path.
	BinDir string
	// CgroupParent is the control group above those of all sandboxes. The default is "/attune".
	CgroupParent string
	// Network is for executions with network: egress. Without it they are refused.
	Network *network.Network
	// Logger reports what cannot be removed. The default is slog.Default().
	Logger *slog.Logger
}

// complete validates the configuration and fills in the defaults.
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

// runsDir has the run directory of each sandbox.
func (c *Config) runsDir() string { return filepath.Join(c.StateDir, "runs") }

// runcDir is where runc keeps the state of its containers. Its default is shared by all programs of the host.
func (c *Config) runcDir() string { return filepath.Join(c.StateDir, string(attune.RuntimeRunc)) }

// rootsDir has a folder for each attune-shim, in which root file systems are mounted.
func (c *Config) rootsDir() string { return filepath.Join(c.StateDir, "roots") }

// executionsDir has the record of each execution that was given a sandbox, by its name.
func (c *Config) executionsDir() string { return filepath.Join(c.StateDir, "executions") }

func (c *Config) runDir(id string) runDir { return runDir(filepath.Join(c.runsDir(), id)) }

func (c *Config) cgroupPath(id string) string { return filepath.Join(c.CgroupParent, id) }
