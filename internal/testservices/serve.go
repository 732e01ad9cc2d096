package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"attune/internal/daemon"
	"attune/internal/testservices/dburl"
)

const closeTimeout = 2 * time.Minute

// serve is the inner process: it runs the daemons and the command, and removes the containers and mounts that are left.
func serve(dir string, command []string) (status int, err error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	cache, err := cacheDir()
	if err != nil {
		return 0, err
	}
	bin, err := binDir(cache)
	if err != nil {
		return 0, err
	}
	before, err := mounts()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	set, err := start(ctx, signals, dir, bin)
	if err != nil {
		return 0, err
	}
	env, err := environment(set, dir, cache, bin)
	if err != nil {
		return 0, errors.Join(err, set.Close(ctx))
	}
	status, err = runCommand(signals, env, command)

	containers, removeErr := removeContainers(ctx, bin, set.ContainerdAddress)
	closing, stop := context.WithTimeout(ctx, closeTimeout)
	defer stop()
	closeErr := set.Close(closing)
	left, mountErr := removeMounts(before)
	leaked := append(containers, left...)
	for _, leak := range leaked {
		say("left behind: %s", leak)
	}
	if len(leaked) > 0 && status == 0 {
		status = exitFailed
	}
	return status, errors.Join(err, removeErr, closeErr, mountErr)
}

// start starts the daemons unless a signal comes first.
func start(ctx context.Context, signals <-chan os.Signal, dir, bin string) (*daemon.Set, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-signals:
			cancel()
		case <-started:
		}
	}()
	begin := time.Now()
	set, err := daemon.Start(ctx, daemon.Config{
		Dir: filepath.Join(dir, "s"), BinDir: bin, Postgres: true, MinIO: true, Containerd: true,
		// Tests of the queue read its history from PostgreSQL's log. The data need not survive a crash of the host.
		PostgresSettings: []string{dburl.Listen, "wal_level=logical", "fsync=off", "full_page_writes=off"},
		Log:              slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	close(started)
	<-watched
	if err != nil {
		return nil, fmt.Errorf("start the daemons: %w", err)
	}
	say("PostgreSQL, MinIO and containerd serve after %s", time.Since(begin).Round(time.Millisecond))
	return set, nil
}

// environment is the environment of the command.
func environment(set *daemon.Set, dir, cache, bin string) ([]string, error) {
	databaseURL, err := dburl.OverTCP(set.DatabaseURL)
	if err != nil {
		return nil, err
	}
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o711); err != nil {
		return nil, err
	}
	if err := os.Unsetenv(innerFolder); err != nil {
		return nil, err
	}
	built, err := filepath.Abs("bin")
	if err != nil {
		return nil, err
	}
	return append(os.Environ(),
		"ATTUNE_TEST_DATABASE_URL="+databaseURL,
		"ATTUNE_TEST_S3_ENDPOINT="+set.S3Endpoint,
		"AWS_ACCESS_KEY_ID="+set.S3AccessKey,
		"AWS_SECRET_ACCESS_KEY="+set.S3SecretKey,
		"ATTUNE_TEST_CONTAINERD_ADDRESS="+set.ContainerdAddress,
		"ATTUNE_TEST_BIN_DIR="+bin,
		"ATTUNE_CACHE_DIR="+cache,
		"PATH="+built+":"+os.Getenv("PATH"),
		"TMPDIR="+temporary,
	), nil
}

// runCommand runs the command, forwards signals, and returns its exit status.
func runCommand(signals <-chan os.Signal, env, command []string) (int, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		case err := <-ended:
			return exitStatus(err)
		}
	}
}

func exitStatus(err error) (int, error) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
