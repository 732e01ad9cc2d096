// Package s3 is the connection to an S3-compatible service: its buckets in plain types, and the archives of packs.
//
// It is the only package that imports the S3 client and that knows what the service's answers mean. It must not know
// the database, nor what other packages keep in their buckets.
//
// Start reading at Open, then at Bucket, which the other packages work on.
package s3
