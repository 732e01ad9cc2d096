package storagetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"attune/migrations"
	"attune/storage"
	"attune/storage/logs"
	"attune/storage/s3"
)

// OpenDB opens a new database with the newest schema.
func OpenDB(tb testing.TB) *storage.DB {
	tb.Helper()
	return ReopenDB(tb, DatabaseURL(tb))
}

// ReopenDB opens a database that DatabaseURL made, as a second process would.
func ReopenDB(tb testing.TB, databaseURL string) *storage.DB {
	tb.Helper()
	db, err := storage.Open(tb.Context(), databaseURL, Sealer(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	return db
}

// DatabaseURL makes a database with the newest schema.
func DatabaseURL(tb testing.TB) string {
	tb.Helper()
	databaseURL := EmptyDatabaseURL(tb)
	if err := migrations.Apply(tb.Context(), databaseURL); err != nil {
		tb.Fatal(err)
	}
	return databaseURL
}

// EmptyDatabaseURL makes a database with nothing in it.
func EmptyDatabaseURL(tb testing.TB) string {
	tb.Helper()
	serverURL := variable(tb, "ATTUNE_TEST_DATABASE_URL")
	own, err := url.Parse(serverURL)
	if err != nil {
		tb.Fatal(err)
	}
	name := "test_" + unique()
	// A connection to the template would make this fail; template0 accepts none.
	administer(tb, serverURL, "create database "+name+" template template0")
	tb.Cleanup(func() { administer(tb, serverURL, "drop database "+name+" with (force)") })
	own.Path = "/" + name
	return own.String()
}

// administer has a context of its own: a test's has ended when it cleans up.
func administer(tb testing.TB, serverURL, sql string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	conn, err := pgx.Connect(ctx, serverURL)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		tb.Error(err)
	}
	if err := conn.Close(ctx); err != nil {
		tb.Error(err)
	}
}

// Sealer makes a sealer with a key of its own.
func Sealer(tb testing.TB) *storage.Sealer {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "key.json")
	if err := storage.CreateKeyFile(path); err != nil {
		tb.Fatal(err)
	}
	sealer, err := storage.NewSealer(path)
	if err != nil {
		tb.Fatal(err)
	}
	return sealer
}

// OpenObjects opens two new buckets.
func OpenObjects(tb testing.TB) *s3.Store {
	tb.Helper()
	objects, err := s3.Open(tb.Context(), S3Config(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(objects.Close)
	return objects
}

// S3Config names two buckets that do not exist yet, and removes them with all that is in them when the test ends.
func S3Config(tb testing.TB) s3.Config {
	tb.Helper()
	id := unique()
	config := s3.Config{
		Endpoint:   variable(tb, "ATTUNE_TEST_S3_ENDPOINT"),
		AccessKey:  variable(tb, "AWS_ACCESS_KEY_ID"),
		SecretKey:  variable(tb, "AWS_SECRET_ACCESS_KEY"),
		LogBucket:  "test-logs-" + id,
		PackBucket: "test-packs-" + id,
	}
	client := S3Client(tb, config)
	tb.Cleanup(func() {
		for _, bucket := range []string{config.LogBucket, config.PackBucket} {
			if err := removeBucket(context.WithoutCancel(tb.Context()), client, bucket); err != nil {
				tb.Error(err)
			}
		}
	})
	return config
}

// S3Client is a plain client, for tests that look at the buckets as people would.
func S3Client(tb testing.TB, config s3.Config) *minio.Client {
	tb.Helper()
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	secure := endpoint.Scheme == "https"
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(transport.CloseIdleConnections)
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:     credentials.NewStaticV4(config.AccessKey, config.SecretKey, ""),
		Secure:    secure,
		Transport: transport,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func removeBucket(ctx context.Context, client *minio.Client, bucket string) error {
	exists, err := client.BucketExists(ctx, bucket)
	if err != nil || !exists {
		return err
	}
	for object := range client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			return object.Err
		}
		if err := client.RemoveObject(ctx, bucket, object.Key, minio.RemoveObjectOptions{}); err != nil {
			return err
		}
	}
	if err := client.RemoveBucket(ctx, bucket); err != nil {
		return fmt.Errorf("remove bucket %s: %w", bucket, err)
	}
	return nil
}

// OpenLogs opens logs with a spool of their own in new buckets.
func OpenLogs(tb testing.TB) *logs.Store {
	tb.Helper()
	store, err := logs.Open(OpenObjects(tb).Logs(), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

func variable(tb testing.TB, name string) string {
	tb.Helper()
	value := os.Getenv(name)
	if value == "" {
		tb.Fatalf("%s is not set: run make test", name)
	}
	return value
}

// unique fits names of databases and buckets.
func unique() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }
