package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"attune"
	"attune/internal/daemon"
	"attune/internal/logfile"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		os.Exit(runHelper(dir, os.Getenv(helperBin)))
	}
	goleak.VerifyTestMain(m)
}

func TestDataSurvivesAnOrderlyEnd(t *testing.T) {
	t.Parallel()
	config := setup(t)
	set := start(t, config)
	remember(t, set, "first")
	addresses := *set

	if _, err := daemon.Start(t.Context(), config); attune.CodeOf(err) != attune.CodeConflict {
		t.Errorf("a second Start on the folder gives %v, want a conflict", err)
	}
	checkSecrecy(t, config.Dir, set)

	if err := set.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if found := processesIn(t, config.Dir); len(found) > 0 {
		t.Errorf("Close left processes behind: %v", found)
	}

	set = start(t, config)
	recall(t, set, "first")
	if set.DatabaseURL != addresses.DatabaseURL || set.S3Endpoint != addresses.S3Endpoint ||
		set.ContainerdAddress != addresses.ContainerdAddress {
		t.Errorf("the addresses changed from one start to the next")
	}
}

func TestStartsOnlyWhatIsWanted(t *testing.T) {
	t.Parallel()
	config := setup(t)
	config.Postgres, config.Containerd = false, false
	set := start(t, config)
	if set.S3Endpoint == "" || set.DatabaseURL != "" || set.ContainerdAddress != "" {
		t.Errorf("want the address of MinIO alone, got %q, %q, %q", set.S3Endpoint, set.DatabaseURL, set.ContainerdAddress)
	}
	if found := processesIn(t, config.Dir); len(found) != 1 || found["minio"] == nil {
		t.Errorf("want one minio, got %v", found)
	}
}

func TestALongLogIsBounded(t *testing.T) {
	t.Parallel()
	config := setup(t)
	config.Postgres, config.Containerd = false, false
	start(t, config)
	path := filepath.Join(config.Dir, "log", "minio.log")
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(strings.Repeat("complaint\n", logfile.MaxBytes/5))
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if info, err := os.Stat(path); err != nil || info.Size() > logfile.MaxBytes {
			return fmt.Errorf("the log of a daemon that runs is not bounded: %v, %w", info, err)
		}
		return nil
	})
}

func TestStartSaysWhyADaemonDoesNotServe(t *testing.T) {
	t.Parallel()
	config := setup(t)
	config.Postgres, config.Containerd = false, false
	config.BinDir = t.TempDir()
	script := "#!/bin/sh\necho the disk is on fire\nexit 7\n"
	if err := os.WriteFile(filepath.Join(config.BinDir, "minio"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := daemon.Start(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), "the disk is on fire") ||
		!strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("the error names neither the end of the log nor the exit status: %v", err)
	}
}

// setup returns a configuration of all three daemons in an empty folder with a path short enough for sockets.
func setup(t *testing.T) daemon.Config {
	t.Helper()
	bin := os.Getenv("ATTUNE_TEST_BIN_DIR")
	if bin == "" {
		t.Fatal("ATTUNE_TEST_BIN_DIR is not set: run make test")
	}
	dir, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			printLogs(t, dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return daemon.Config{
		Dir: dir, BinDir: bin, Postgres: true, MinIO: true, Containerd: true, PostgresSettings: []string{"fsync=off"},
		Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	}
}

func start(t *testing.T, config daemon.Config) *daemon.Set {
	t.Helper()
	set, err := daemon.Start(t.Context(), config)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := set.Close(ctx); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		if found := processesIn(t, config.Dir); len(found) > 0 {
			t.Errorf("Close left processes behind: %v", found)
		}
	})
	return set
}

// remember writes a note into PostgreSQL and MinIO; recall reads it back, and asks containerd how it is.
func remember(t *testing.T, set *daemon.Set, note string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), set.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "CREATE TABLE note (text text)"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO note VALUES ($1)", note); err != nil {
		t.Fatal(err)
	}
	store := objects(t, set)
	if err := store.MakeBucket(t.Context(), "notes", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	content := strings.NewReader(note)
	var opts minio.PutObjectOptions
	if _, err := store.PutObject(t.Context(), "notes", "note", content, content.Size(), opts); err != nil {
		t.Fatal(err)
	}
}

func recall(t *testing.T, set *daemon.Set, want string) {
	t.Helper()
	if err := tryRecall(t, set, want); err != nil {
		t.Error(err)
	}
}

func tryRecall(t *testing.T, set *daemon.Set, want string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, set.DatabaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var got string
	if err := conn.QueryRow(ctx, "SELECT text FROM note").Scan(&got); err != nil || got != want {
		return fmt.Errorf("PostgreSQL gives %q, %w; want %q", got, err, want)
	}
	object, err := objects(t, set).GetObject(ctx, "notes", "note", minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	text, err := io.ReadAll(object)
	if err != nil || string(text) != want {
		return fmt.Errorf("MinIO gives %q, %w; want %q", text, err, want)
	}
	runtime, err := grpc.NewClient("unix:"+set.ContainerdAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = runtime.Close() }()
	_, err = healthpb.NewHealthClient(runtime).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

func objects(t *testing.T, set *daemon.Set) *minio.Client {
	t.Helper()
	transport, err := minio.DefaultTransport(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	store, err := minio.New(strings.TrimPrefix(set.S3Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(set.S3AccessKey, set.S3SecretKey, ""), Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// checkSecrecy looks for the passwords where other users of the host could see them.
func checkSecrecy(t *testing.T, dir string, set *daemon.Set) {
	t.Helper()
	config, err := pgx.ParseConfig(set.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	for name, pids := range processesIn(t, dir) {
		for _, pid := range pids {
			for _, file := range []string{"cmdline", "environ"} {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
				if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
					t.Error(err)
				}
				if bytes.Contains(text, []byte(config.Password)) || bytes.Contains(text, []byte(set.S3SecretKey)) {
					t.Errorf("a password is in the %s of %s", file, name)
				}
			}
		}
	}
	for path, want := range map[string]os.FileMode{
		"daemons.json": 0o600, "minio/env": 0o600, "minio": 0o700, "postgres": 0o700, "log": 0o700, "log/postgres.log": 0o600,
		"containerd/containerd.sock": 0o600, "containerd": 0o711,
	} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "password")); !os.IsNotExist(err) {
		t.Errorf("the password file of initdb is still there: %v", err)
	}
}

func printLogs(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	if err != nil {
		t.Error(err)
	}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		t.Logf("%s (%v):\n%s", filepath.Base(path), err, text[max(0, len(text)-4096):])
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
