package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"attune"
)

// Bucket is a bucket of the service. Its methods return translated errors.
type Bucket struct {
	client *minio.Client
	name   string
}

func (b *Bucket) make(ctx context.Context, region string) error {
	exists, err := b.client.BucketExists(ctx, b.name)
	if err != nil || exists {
		return Translate("look for bucket "+b.name, err)
	}
	err = b.client.MakeBucket(ctx, b.name, minio.MakeBucketOptions{Region: region})
	if minio.ToErrorResponse(err).Code == minio.BucketAlreadyOwnedByYou {
		return nil
	}
	return Translate("make bucket "+b.name, err)
}

// PutOptions describe an object to its readers.
type PutOptions struct {
	ContentType string
	Metadata    map[string]string
}

// Put streams an object of known size in one request. With multipart or an unknown size, the client would buffer. An
// object that the service never takes is ErrRefused.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, size int64, o PutOptions) error {
	if err := s3utils.CheckValidObjectName(key); err != nil {
		return fmt.Errorf("%w: store %q: %w", ErrRefused, key, err)
	}
	_, err := b.client.PutObject(ctx, b.name, key, r, size, minio.PutObjectOptions{
		ContentType: o.ContentType, UserMetadata: o.Metadata, DisableMultipart: true,
	})
	return Translate("store "+key, err)
}

// Info is what the service says about an object without sending it.
type Info struct {
	Size     int64
	Metadata map[string]string
}

// Stat looks at an object.
func (b *Bucket) Stat(ctx context.Context, key string) (Info, error) {
	info, err := b.client.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	return Info{info.Size, info.UserMetadata}, Translate("look at "+key, err)
}

// Open reads an object; the caller closes it. When there is none, the error is missing.
func (b *Bucket) Open(ctx context.Context, key string, missing *attune.Error) (io.ReadCloser, error) {
	object, err := b.client.GetObject(ctx, b.name, key, minio.GetObjectOptions{})
	if err == nil {
		_, err = object.Stat() // only now does it ask the service
	}
	if err = Translate("open "+key, err); errors.Is(err, ErrMissing) {
		missing.Cause = err
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	return object, nil
}

// ReadAt fills p with the bytes of an object that begin at offset.
func (b *Bucket) ReadAt(ctx context.Context, key string, p []byte, offset int64) error {
	if len(p) == 0 {
		return nil
	}
	var opts minio.GetObjectOptions
	if err := opts.SetRange(offset, offset+int64(len(p))-1); err != nil {
		return Translate("read "+key, err)
	}
	object, err := b.client.GetObject(ctx, b.name, key, opts)
	if err != nil {
		return Translate("read "+key, err)
	}
	defer func() { _ = object.Close() }() // everything wanted has been read
	_, err = io.ReadFull(object, p)
	return Translate("read "+key, err)
}

// Object is an entry of a listing; the key of a folder ends in a slash.
type Object struct {
	Key  string
	Size int64
}

// ListOptions say how a prefix is listed.
type ListOptions struct {
	// Recursive lists the objects in folders instead of the folders.
	Recursive bool
	// After leaves out this key and those that sort before it.
	After string
}

// List yields what lies below a prefix and holds one page of it in memory. An error is the last that it yields; without
// one, the listing is complete. A recursive listing is in the order of the keys.
func (b *Bucket) List(ctx context.Context, prefix string, o ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		listing := minio.ListObjectsOptions{Prefix: prefix, Recursive: o.Recursive, StartAfter: o.After}
		for object := range b.client.ListObjectsIter(ctx, b.name, listing) {
			if object.Err != nil {
				yield(Object{}, Translate("list "+prefix, object.Err))
				return
			}
			if !yield(Object{object.Key, object.Size}, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil { // the client stops without a word
			yield(Object{}, Translate("list "+prefix, err))
		}
	}
}

// Remove removes objects, many in one request, and counts them. It stops at the first error, also one of the objects.
func (b *Bucket) Remove(ctx context.Context, objects iter.Seq2[Object, error]) (removed int, err error) {
	var listing error
	infos := func(yield func(minio.ObjectInfo) bool) {
		for object, err := range objects {
			if listing = err; err != nil || !yield(minio.ObjectInfo{Key: object.Key}) {
				return
			}
		}
	}
	results, err := b.client.RemoveObjectsWithIter(ctx, b.name, infos, minio.RemoveObjectsOptions{})
	if err != nil {
		return 0, Translate("remove objects", err)
	}
	for result := range results {
		if result.Err != nil {
			return removed, Translate("remove "+result.ObjectName, result.Err)
		}
		removed++
	}
	if listing == nil { // the client stops without a word
		listing = Translate("remove objects", ctx.Err())
	}
	return removed, listing
}

// RemovePrefix removes everything below a prefix. It is idempotent.
func (b *Bucket) RemovePrefix(ctx context.Context, prefix string) error {
	_, err := b.Remove(ctx, b.List(ctx, prefix, ListOptions{Recursive: true}))
	return err
}
