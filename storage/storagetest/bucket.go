package storagetest

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"attune/storage/s3"
)

// Bucket looks at a bucket as a person with an S3 client would.
type Bucket struct {
	Client *minio.Client
	Name   string
	tb     testing.TB
}

// OpenBucket opens a bucket of the configuration by its name.
func OpenBucket(tb testing.TB, config s3.Config, name string) Bucket {
	tb.Helper()
	return Bucket{S3Client(tb, config), name, tb}
}

// Keys are the keys below a prefix, without it.
func (b Bucket) Keys(under string) (keys []string) {
	b.tb.Helper()
	opts := minio.ListObjectsOptions{Prefix: under, Recursive: true}
	for object := range b.Client.ListObjectsIter(b.tb.Context(), b.Name, opts) {
		if object.Err != nil {
			b.tb.Fatal(object.Err)
		}
		keys = append(keys, strings.TrimPrefix(object.Key, under))
	}
	return keys
}

// Read is the content of an object.
func (b Bucket) Read(key string) []byte {
	b.tb.Helper()
	object, err := b.Client.GetObject(b.tb.Context(), b.Name, key, minio.GetObjectOptions{})
	if err != nil {
		b.tb.Fatal(err)
	}
	content, err := io.ReadAll(object)
	if err := errors.Join(err, object.Close()); err != nil {
		b.tb.Fatalf("read %s: %v", key, err)
	}
	return content
}
