package imagebuilder

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Config configures a Builder. Everything but Address, Namespace, WorkDir and CacheDir has a default.
type Config struct {
	// Address is containerd's socket, and Namespace the containerd namespace that holds images and build containers.
	Address   string
	Namespace string
	// Snapshotter must be overlayfs or work like it; the default is "overlayfs".
	Snapshotter string
	// WorkDir belongs to this builder alone. New removes what an earlier builder left there.
	WorkDir string
	// CacheDir has the layers of the base image in its folder "images". All builders of a host may share it.
	CacheDir string

	// DebianMirror is where Debian packages come from: an address, or lines as in sources.list. Empty takes the
	// default of the tool that makes the base image.
	DebianMirror string
	// PythonIndex and NPMRegistry are addresses; empty takes pip's and npm's own default. They must not hold
	// credentials: build containers see them.
	PythonIndex string
	NPMRegistry string
	// CABundle is the file with the authorities that build containers trust; the default is the host's.
	CABundle string

	// Network is what build containers are attached to. Without one, only packs that contain their dependencies build.
	Network Network
	Limits  BuildLimits
	// Log gets everything but the output of builds; the default drops it.
	Log *slog.Logger
}

// BuildLimits are the ceilings of one build.
type BuildLimits struct {
	// Time covers all steps of one build together.
	Time time.Duration
	// MemoryBytes, Pids and CPU apply to each step.
	MemoryBytes int64
	Pids        int64
	CPU         float64
	// DiskBytes covers the layer and the temporary files. Each 8 KiB of it come with the right to one file.
	DiskBytes int64
}

func defaultBuildLimits() BuildLimits {
	return BuildLimits{
		Time:        15 * time.Minute,
		MemoryBytes: 2 << 30,
		Pids:        1024,
		CPU:         2,
		DiskBytes:   4 << 30,
	}
}

// caBundles are the paths where distributions keep their certificate authorities.
var caBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// withDefaults fills in the defaults and validates the result.
func (c Config) withDefaults() (Config, error) {
	if c.Address == "" || c.Namespace == "" || c.WorkDir == "" || c.CacheDir == "" {
		return c, errors.New("image builder: address, namespace, work folder and cache folder are required")
	}
	if c.Snapshotter == "" {
		c.Snapshotter = "overlayfs"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.CacheDir = filepath.Join(c.CacheDir, "images")
	for _, path := range caBundles {
		if _, err := os.Stat(path); err == nil && c.CABundle == "" {
			c.CABundle = path
		}
	}
	if _, err := os.Stat(c.CABundle); err != nil {
		return c, fmt.Errorf("image builder: bundle of authorities: %w", err)
	}
	d := defaultBuildLimits()
	l := &c.Limits
	if l.Time <= 0 {
		l.Time = d.Time
	}
	if l.MemoryBytes <= 0 {
		l.MemoryBytes = d.MemoryBytes
	}
	if l.Pids <= 0 {
		l.Pids = d.Pids
	}
	if l.CPU <= 0 {
		l.CPU = d.CPU
	}
	if l.DiskBytes <= 0 {
		l.DiskBytes = d.DiskBytes
	}
	return c, nil
}
