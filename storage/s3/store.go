package s3

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Config says where objects go. Zero values take the defaults of contract 5.
type Config struct {
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

func (c *Config) setDefaults() {
	for field, value := range map[*string]string{
		&c.Region: "us-east-1", &c.LogBucket: "attune-logs", &c.PackBucket: "attune-packs",
	} {
		if *field == "" {
			*field = value
		}
	}
}

// Store is a connection to the service.
type Store struct {
	client    *minio.Client
	transport *http.Transport
	logs      *Bucket
	packs     *Bucket
}

// Open connects to a service and makes the buckets when they are missing. The caller closes it.
func Open(ctx context.Context, config Config) (*Store, error) {
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
		// What matters is repeated above this package, with a spool in between; ten silent retries would only hide an
		// outage.
		MaxRetries: 2,
	})
	if err != nil {
		return nil, fmt.Errorf("make S3 client: %w", err)
	}
	s := &Store{
		client: client, transport: transport,
		logs: &Bucket{client, config.LogBucket}, packs: &Bucket{client, config.PackBucket},
	}
	for _, b := range []*Bucket{s.logs, s.packs} {
		if err := b.make(ctx, config.Region); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Close gives up the idle connections.
func (s *Store) Close() { s.transport.CloseIdleConnections() }

// Ping fails unless the service answers and the log bucket exists.
func (s *Store) Ping(ctx context.Context) error {
	exists, err := s.client.BucketExists(ctx, s.logs.name)
	if err == nil && !exists {
		return fmt.Errorf("bucket %s is gone", s.logs.name)
	}
	return Translate("ping S3", err)
}

// Logs is the bucket that people browse.
func (s *Store) Logs() *Bucket { return s.logs }
