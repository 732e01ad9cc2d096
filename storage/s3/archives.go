package s3

import (
	"context"
	"io"

	"attune"
)

// PutArchive stores the archive of a pack. It is idempotent: the key holds the digest of the content.
func (s *Store) PutArchive(ctx context.Context, ref, version, sha256 string, r io.Reader, size int64) error {
	return s.packs.Put(ctx, archiveKey(ref, version, sha256), r, size, PutOptions{ContentType: "application/zstd"})
}

// GetArchive opens the archive of a pack; the caller closes it.
func (s *Store) GetArchive(ctx context.Context, ref, version, sha256 string) (io.ReadCloser, error) {
	return s.packs.Open(ctx, archiveKey(ref, version, sha256),
		attune.Errorf(attune.CodeNotFound, "the archive of %s %s is gone", ref, version))
}

// RemoveArchives removes everything that is stored of a pack. It is idempotent.
func (s *Store) RemoveArchives(ctx context.Context, ref string) error {
	return s.packs.RemovePrefix(ctx, ref+"/")
}

func archiveKey(ref, version, sha256 string) string {
	return ref + "/" + version + "/" + sha256 + ".tar.zst"
}
