package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"attune"
)

// S3Config says where objects go. Zero values take the defaults of contract 5.
type S3Config struct {
	// Endpoint is a URL; its scheme decides on TLS.
	Endpoint  string
	AccessKey string
	SecretKey string
	// Region is us-east-1 when empty.
	Region string
	// LogBucket and PackBucket are attune-logs and attune-packs when empty.
	LogBucket  string
	PackBucket string
}

func (c *S3Config) setDefaults() {
	for field, value := range map[*string]string{
		&c.Region: "us-east-1", &c.LogBucket: "attune-logs", &c.PackBucket: "attune-packs",
	} {
		if *field == "" {
			*field = value
		}
	}
}

// Objects are the two buckets.
type Objects struct {
	client    *minio.Client
	transport *http.Transport
	config    S3Config
}

// OpenObjects connects to an S3-compatible service and makes the buckets when they are missing. The caller closes it.
func OpenObjects(ctx context.Context, config S3Config) (*Objects, error) {
	config.setDefaults()
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, fmt.Errorf("the S3 endpoint %q is not an http or https URL", config.Endpoint)
	}
	secure := endpoint.Scheme == "https"
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("make S3 transport: %w", err)
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(config.AccessKey, config.SecretKey, ""),
		Secure:       secure,
		Transport:    transport,
		Region:       config.Region,
		BucketLookup: minio.BucketLookupPath,
		// We repeat what matters ourselves, with a spool in between; ten silent retries would only hide an outage.
		MaxRetries: 2,
	})
	if err != nil {
		return nil, fmt.Errorf("make S3 client: %w", err)
	}
	o := &Objects{client, transport, config}
	for _, bucket := range []string{config.LogBucket, config.PackBucket} {
		if err := o.makeBucket(ctx, bucket); err != nil {
			o.Close()
			return nil, err
		}
	}
	return o, nil
}

// Close gives up the connections that nothing uses.
func (o *Objects) Close() { o.transport.CloseIdleConnections() }

func (o *Objects) makeBucket(ctx context.Context, bucket string) error {
	exists, err := o.client.BucketExists(ctx, bucket)
	if err != nil || exists {
		return objectError("look for bucket "+bucket, err)
	}
	err = o.client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: o.config.Region})
	if minio.ToErrorResponse(err).Code == minio.BucketAlreadyOwnedByYou {
		return nil
	}
	return objectError("make bucket "+bucket, err)
}

// Ping tells whether the service answers and the log bucket is there.
func (o *Objects) Ping(ctx context.Context) error {
	exists, err := o.client.BucketExists(ctx, o.config.LogBucket)
	if err == nil && !exists {
		return fmt.Errorf("bucket %s is gone", o.config.LogBucket)
	}
	return objectError("ping S3", err)
}

// LogBucket is the name of the bucket that people browse.
func (o *Objects) LogBucket() string { return o.config.LogBucket }

// PutArchive stores the archive of a pack. It is idempotent: the name holds the digest of the content.
func (o *Objects) PutArchive(ctx context.Context, ref, version, sha256 string, r io.Reader, size int64) error {
	return objectError("store archive", o.put(ctx, o.config.PackBucket, archiveKey(ref, version, sha256), r, size,
		minio.PutObjectOptions{ContentType: "application/zstd"}))
}

// GetArchive opens the archive of a pack; the caller closes it.
func (o *Objects) GetArchive(ctx context.Context, ref, version, sha256 string) (io.ReadCloser, error) {
	object, err := o.client.GetObject(ctx, o.config.PackBucket, archiveKey(ref, version, sha256), minio.GetObjectOptions{})
	if err == nil {
		_, err = object.Stat() // only now does it ask the service
	}
	if err != nil {
		return nil, objectError("open archive", err,
			attune.Errorf(attune.CodeNotFound, "the archive of %s %s is gone", ref, version))
	}
	return object, nil
}

// RemoveArchives removes everything that is stored of a pack. It is idempotent.
func (o *Objects) RemoveArchives(ctx context.Context, ref string) error {
	return o.removePrefix(ctx, o.config.PackBucket, ref+"/")
}

func archiveKey(ref, version, sha256 string) string {
	return ref + "/" + version + "/" + sha256 + ".tar.zst"
}

// put streams an object of known size in one request: with multipart or an unknown size, the client would buffer.
func (o *Objects) put(ctx context.Context, bucket, key string, r io.Reader, size int64, opts minio.PutObjectOptions) error {
	opts.DisableMultipart = true
	_, err := o.client.PutObject(ctx, bucket, key, r, size, opts)
	return err
}

func (o *Objects) removePrefix(ctx context.Context, bucket, prefix string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing when removing has failed
	for object := range o.client.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		err := object.Err
		if err == nil {
			err = o.client.RemoveObject(ctx, bucket, object.Key, minio.RemoveObjectOptions{})
		}
		if err != nil {
			return objectError("remove objects", err)
		}
	}
	return nil
}

// objectError is Translate for S3: a missing object becomes the CodeNotFound error among people, anything else that is
// not the service's considered answer CodeUnavailable.
func objectError(doing string, err error, people ...*attune.Error) error {
	if err == nil {
		return nil
	}
	cause := fmt.Errorf("%s: %w", doing, err)
	if isMissing(err) {
		for _, e := range people {
			said := *e
			said.Cause = cause
			return &said
		}
		return cause
	}
	answer, answered := errors.AsType[minio.ErrorResponse](err)
	if errors.Is(err, context.Canceled) || answered && answer.StatusCode < http.StatusInternalServerError {
		return cause
	}
	return &attune.Error{Code: attune.CodeUnavailable, Message: "the object store does not answer; try again soon", Cause: cause}
}

func isMissing(err error) bool {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && answer.Code == minio.NoSuchKey
}
