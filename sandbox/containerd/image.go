package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxManifestBytes bounds what is read of a manifest or an image's configuration.
const maxManifestBytes = 4 << 20

// chain returns the snapshot that has all layers of an image. Nothing else of the image counts: its user, environment,
// labels, volumes and stop signal are ignored.
func (c *Runtime) chain(ctx context.Context, manifest digest.Digest) (string, error) {
	if known, ok := c.chains.Load(manifest); ok {
		return known.(string), nil
	}
	var m ocispec.Manifest
	if err := c.readJSON(ctx, manifest, &m); err != nil {
		return "", fmt.Errorf("read image %s: %w", manifest, err)
	}
	var image ocispec.Image
	if err := c.readJSON(ctx, m.Config.Digest, &image); err != nil {
		return "", fmt.Errorf("read configuration of image %s: %w", manifest, err)
	}
	if len(image.RootFS.DiffIDs) < 2 {
		// A read-only view of a single layer is a plain bind mount, which containerd does not map: inside, the files would
		// have no owner. The images of packs have two layers at least, a base and the pack.
		return "", fmt.Errorf("image %s has fewer than two layers", manifest)
	}
	found := identity.ChainID(image.RootFS.DiffIDs).String()
	c.chains.Store(manifest, found)
	return found, nil
}

// readJSON reads a blob of an image.
func (c *Runtime) readJSON(ctx context.Context, blob digest.Digest, into any) error {
	reader, err := c.content.ReaderAt(ctx, ocispec.Descriptor{Digest: blob})
	if err != nil {
		return err
	}
	defer reader.Close()
	if reader.Size() > maxManifestBytes {
		return fmt.Errorf("%d bytes are too many", reader.Size())
	}
	text := make([]byte, reader.Size())
	if _, err := io.ReadFull(content.NewReader(reader), text); err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
