package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"attune/migrations"
	"attune/storage"
	"attune/storage/logs"
	"attune/storage/s3"
)

// storeFlags say where PostgreSQL and S3 are and how secrets are sealed. The database URL and the S3 keys hold secrets
// and are read from the environment only: ATTUNE_DATABASE_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
type storeFlags struct {
	S3Endpoint   string `name:"s3-endpoint" group:"service" env:"ATTUNE_S3_ENDPOINT" placeholder:"URL" help:"S3 to use; without it, \"up\" runs a private MinIO."`
	S3Region     string `name:"s3-region" group:"service" env:"ATTUNE_S3_REGION" placeholder:"REGION" help:"Region of the buckets."`
	S3LogBucket  string `name:"s3-log-bucket" group:"service" env:"ATTUNE_S3_LOG_BUCKET" default:"attune-logs" help:"Bucket for logs and results."`
	S3PackBucket string `name:"s3-pack-bucket" group:"service" env:"ATTUNE_S3_PACK_BUCKET" default:"attune-packs" help:"Bucket for pack archives."`
	KeyFile      string `group:"service" env:"ATTUNE_KEY_FILE" type:"path" placeholder:"FILE" help:"Key that seals secrets; \"up\" makes DIR/secret.key."`
	DataDir      string `group:"service" env:"ATTUNE_DATA_DIR" type:"path" default:"/var/lib/attune" help:"Folder for what Attune keeps on this host."`
}

// environmentHelp names the settings that are not flags.
const environmentHelp = `
ATTUNE_DATABASE_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are read from the environment only: all users of the
host can read arguments.
`

// stores are the connections that server and worker share.
type stores struct {
	db      *storage.DB
	objects *s3.Store
	logs    *logs.Store
}

// addresses are what is read from the environment or learned from private daemons.
type addresses struct {
	databaseURL, s3Endpoint, s3AccessKey, s3SecretKey string
}

// addresses reads the environment.
func (f storeFlags) addresses(getenv func(string) string) addresses {
	return addresses{
		databaseURL: getenv("ATTUNE_DATABASE_URL"), s3Endpoint: f.S3Endpoint,
		s3AccessKey: getenv("AWS_ACCESS_KEY_ID"), s3SecretKey: getenv("AWS_SECRET_ACCESS_KEY"),
	}
}

// open brings the schema up to date and connects. The caller closes.
func (f storeFlags) open(ctx context.Context, a addresses) (_ *stores, err error) {
	if a.databaseURL == "" || a.s3Endpoint == "" || f.KeyFile == "" {
		return nil, &userError{
			message: "not all services are configured",
			hint: "set ATTUNE_DATABASE_URL, ATTUNE_S3_ENDPOINT and ATTUNE_KEY_FILE, " +
				"or use \"attune up\", which brings its own",
			status: exitUsage,
		}
	}
	sealer, err := storage.NewSealer(f.KeyFile)
	if err != nil {
		return nil, err
	}
	if err := migrations.Apply(ctx, a.databaseURL); err != nil {
		return nil, fmt.Errorf("bring the database schema up to date: %w", err)
	}
	s := &stores{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.db, err = storage.Open(ctx, a.databaseURL, sealer); err != nil {
		return nil, err
	}
	if err := s.db.CheckKey(ctx); err != nil {
		return nil, err
	}
	s.objects, err = s3.Open(ctx, s3.Config{
		Endpoint: a.s3Endpoint, AccessKey: a.s3AccessKey, SecretKey: a.s3SecretKey, Region: f.S3Region,
		LogBucket: f.S3LogBucket, PackBucket: f.S3PackBucket,
	})
	if err != nil {
		return nil, err
	}
	if s.logs, err = logs.Open(s.objects.Logs(), filepath.Join(f.DataDir, "spool")); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *stores) close() {
	if s.objects != nil {
		s.objects.Close()
	}
	if s.db != nil {
		s.db.Close()
	}
}

// openModes sets an open umask. containerd and PostgreSQL inherit it, and under a tight one sandboxes cannot read their
// root file systems. Private files are made with a private mode.
func openModes() { syscall.Umask(0o022) }

// folder makes a folder below the data folder that only this user may enter.
func (f storeFlags) folder(name string) (string, error) {
	dir := filepath.Join(f.DataDir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	return dir, nil
}

// scratch makes a folder for temporary files, and removes files older than age that a killed process left there.
func (f storeFlags) scratch(name string, age time.Duration) (string, error) {
	dir, err := f.folder(name)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("clear folder: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, os.ErrNotExist) || err == nil && time.Since(info.ModTime()) < age {
			continue
		}
		if err := errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name()))); err != nil {
			return "", fmt.Errorf("clear folder: %w", err)
		}
	}
	return dir, nil
}

// ensureKeyFile makes the sealing key at the first start. It never replaces one: what that has sealed would be lost.
func ensureKeyFile(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return storage.CreateKeyFile(path)
}

// logger writes for the operator: plain lines on stderr.
func (s *session) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.stderr, nil))
}
