package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"attune"
)

// Config says where the daemons live and which of them to run.
type Config struct {
	// Dir is the data folder. It is made when it is not there.
	Dir string
	// BinDir holds containerd, containerd-shim-runc-v2, runc and minio. PostgreSQL comes from the system.
	BinDir string
	// Postgres, MinIO and Containerd say which daemons to run.
	Postgres, MinIO, Containerd bool
	// Log gets starts and failures of the daemons; their own output goes to Dir/log.
	Log *slog.Logger
	// PostgresSettings are further settings of PostgreSQL, each as name=value.
	PostgresSettings []string
}

func (c Config) validate() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("no data folder is given")
	}
	if (c.MinIO || c.Containerd) && c.BinDir == "" {
		return c, errors.New("no folder with the binaries is given")
	}
	if c.Containerd && os.Geteuid() != 0 {
		return c, attune.Errorf(attune.CodeForbidden, "a private containerd needs root")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.BinDir == "" {
		return c, nil
	}
	// Each daemon has a working directory of its own, so paths must be absolute.
	dir, err := filepath.Abs(c.BinDir)
	if err != nil {
		return c, fmt.Errorf("find the folder with the binaries: %w", err)
	}
	c.BinDir = dir
	return c, nil
}

// Set is the running daemons of one data folder. The address of a daemon that Config leaves out is empty.
type Set struct {
	// DatabaseURL is the superuser's, with the password, of a database named attune. It leads to a unix socket.
	DatabaseURL string
	// S3Endpoint is the URL of MinIO, the two keys are its administrator's.
	S3Endpoint, S3AccessKey, S3SecretKey string
	// ContainerdAddress is the path of containerd's socket.
	ContainerdAddress string

	lock     *os.File
	children []*child // in the order in which Close ends them
}

// Start starts the daemons and returns when each of them serves. It first ends the daemons that an earlier process
// left. Only ctx limits the time: after a crash, PostgreSQL may need long to recover.
func Start(ctx context.Context, config Config) (*Set, error) {
	config, err := config.validate()
	if err != nil {
		return nil, err
	}
	dir, err := prepareDir(config.Dir)
	if err != nil {
		return nil, err
	}
	config.Dir = dir
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	set := &Set{lock: lock}
	if err := set.start(ctx, config); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*stopGrace)
		defer cancel()
		return nil, errors.Join(err, set.Close(ctx))
	}
	return set, nil
}

func (s *Set) start(ctx context.Context, config Config) error {
	saved, err := loadSettings(filepath.Join(config.Dir, "daemons.json"))
	if err != nil {
		return err
	}
	database, store, runtime := newPostgres(config, saved), newMinIO(config, saved), newContainerd(config)
	// All three, since an earlier process may have run another choice.
	for _, p := range []program{runtime.program, store.program, database.program} {
		if err := p.end(ctx, config.Log); err != nil {
			return err
		}
	}
	if err := saved.choosePorts(); err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	run := func(wanted bool, p program, prepare func(context.Context) error) {
		if !wanted {
			return
		}
		c := newChild(p, config.Log)
		s.children = append(s.children, c)
		group.Go(func() error {
			if err := prepare(ctx); err != nil {
				return fmt.Errorf("prepare %s: %w", p.name, err)
			}
			return c.start(ctx)
		})
	}
	run(config.Containerd, runtime.program, runtime.prepare)
	run(config.MinIO, store.program, store.prepare)
	run(config.Postgres, database.program, database.prepare)
	if err := group.Wait(); err != nil {
		return err
	}
	if config.Postgres {
		s.DatabaseURL = database.url(databaseName)
	}
	if config.MinIO {
		s.S3Endpoint, s.S3AccessKey, s.S3SecretKey = store.endpoint(), saved.S3AccessKey, saved.S3SecretKey
	}
	if config.Containerd {
		s.ContainerdAddress = runtime.address
	}
	return nil
}

// Close ends the daemons, first containerd, then MinIO, then PostgreSQL. Each gets time to end by itself, and is killed
// when that or ctx is over. Containers and their shims are left alone.
func (s *Set) Close(ctx context.Context) error {
	var errs []error
	for _, c := range s.children {
		errs = append(errs, c.stop(ctx))
	}
	s.children = nil
	return errors.Join(append(errs, s.lock.Close())...)
}

// stopGrace is the time between the stop signal and SIGKILL.
const stopGrace = 30 * time.Second

// prepareDir makes the folder, lets other users pass through it (PostgreSQL and the sandboxes run as other users), and
// returns its real path.
func prepareDir(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", fmt.Errorf("make the data folder: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the data folder: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("find the data folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("read the data folder: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
			return "", fmt.Errorf("open the data folder to other users: %w", err)
		}
		if err := checkParents(dir); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o700); err != nil {
		return "", fmt.Errorf("make the log folder: %w", err)
	}
	return dir, nil
}

func checkParents(dir string) error {
	for at := filepath.Dir(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("read a parent of the data folder: %w", err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			return attune.Errorf(attune.CodeConflict,
				"the data folder %s is inside %s (mode %04o), which only its owner may enter, but PostgreSQL and the sandboxes "+
					"run as other users: choose another data folder, such as /var/lib/attune, or run chmod o+x %s",
				dir, at, info.Mode().Perm(), at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// lockDir makes sure that only one process uses the folder. The kernel releases the lock when the process ends.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data folder: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, attune.Errorf(attune.CodeConflict, "another attune is running on the data folder %s", dir)
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
